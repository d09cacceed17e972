-- Grain: one row per data source.
CREATE OR REPLACE TABLE dim_data_source AS
SELECT
    data_source,
    count(DISTINCT cell_id) AS n_cells,
    list(DISTINCT ability ORDER BY ability) AS abilities,
    max(n_examples) AS max_examples_per_ability
FROM stg_composition
GROUP BY data_source
ORDER BY data_source;
