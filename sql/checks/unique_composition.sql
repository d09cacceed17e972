-- mart_composition has one row per study x cell x data source x ability.
SELECT study, cell_id, data_source, ability, count(*) AS n_rows
FROM mart_composition
GROUP BY study, cell_id, data_source, ability
HAVING count(*) > 1;
