-- Grain: one row per study x cell x task x item x metric, for cells that are done.
CREATE OR REPLACE VIEW mart_item_score AS
WITH cells AS (
    SELECT study, cell_id
    FROM mart_cell
    WHERE status = 'done'
),

scores AS (
    SELECT cell_id, task, ability, metric, item_id, score, parsed
    FROM stg_item_score
)

SELECT
    cells.study,
    cells.cell_id,
    scores.task,
    scores.ability,
    scores.metric,
    scores.item_id,
    scores.score,
    scores.parsed
FROM cells
INNER JOIN scores USING (cell_id);
