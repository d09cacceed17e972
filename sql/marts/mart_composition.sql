-- Grain: one row per study x cell x data source x ability that the cell was trained on.
CREATE OR REPLACE TABLE mart_composition AS
WITH cells AS (
    SELECT study, cell_id
    FROM stg_study_cell
),

parts AS (
    SELECT cell_id, data_source, ability, n_examples
    FROM stg_composition
)

SELECT
    cells.study,
    cells.cell_id,
    parts.data_source,
    parts.ability,
    parts.n_examples
FROM cells
INNER JOIN parts USING (cell_id)
ORDER BY cells.study, cells.cell_id, parts.data_source, parts.ability;
