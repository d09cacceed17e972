-- dim_ability has one row per ability.
SELECT ability, count(*) AS n_rows
FROM dim_ability
GROUP BY ability
HAVING count(*) > 1;
