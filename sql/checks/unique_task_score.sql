-- fact_task_score has one row per cell x task x ability x metric: a task is not scored both item by
-- item and as a whole.
SELECT cell_id, task, ability, metric, count(*) AS n_rows
FROM fact_task_score
GROUP BY cell_id, task, ability, metric
HAVING count(*) > 1;
