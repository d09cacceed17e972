-- One row per cell x data source x ability with training examples; studies share a cell's.
CREATE OR REPLACE VIEW stg_composition AS
WITH cells AS (
    SELECT cell_id, composition
    FROM raw_plan_cell
    QUALIFY row_number() OVER (PARTITION BY cell_id ORDER BY file_name) = 1
),

parts AS (
    SELECT cell_id, unnest(composition) AS part
    FROM cells
)

SELECT
    cell_id,
    part.data_source AS data_source,
    part.ability AS ability,
    CAST(sum(part.n_examples) AS BIGINT) AS n_examples
FROM parts
GROUP BY ALL;
