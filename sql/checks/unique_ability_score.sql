-- mart_ability_score has one row per study x cell x ability x metric.
SELECT study, cell_id, ability, metric, count(*) AS n_rows
FROM mart_ability_score
GROUP BY study, cell_id, ability, metric
HAVING count(*) > 1;
