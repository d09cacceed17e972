-- dim_composition has one row per composition_id x data_source x ability.
SELECT composition_id, data_source, ability, count(*) AS n_rows
FROM dim_composition
GROUP BY composition_id, data_source, ability
HAVING count(*) > 1;
