-- dim_task has one row per task x ability.
SELECT task, ability, count(*) AS n_rows
FROM dim_task
GROUP BY task, ability
HAVING count(*) > 1;
