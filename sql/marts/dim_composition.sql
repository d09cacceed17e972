-- Grain: one row per composition x data source x ability with training examples.
CREATE OR REPLACE TABLE dim_composition AS
WITH cells AS (
    SELECT cell_id, min(composition_id) AS composition_id
    FROM stg_study_cell
    GROUP BY cell_id
),

chosen AS (
    SELECT composition_id, min(cell_id) AS cell_id
    FROM cells
    GROUP BY composition_id
)

SELECT chosen.composition_id, parts.data_source, parts.ability, parts.n_examples
FROM chosen
INNER JOIN stg_composition AS parts USING (cell_id)
ORDER BY chosen.composition_id, parts.data_source, parts.ability;
