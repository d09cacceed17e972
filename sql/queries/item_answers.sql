WITH cells AS (
    SELECT *
    FROM mart_cell
    WHERE study = $study
),

scores AS (
    SELECT *
    FROM fact_item_score
    WHERE item_id = $item_id AND ability = $ability
)

SELECT
    cells.cell_id,
    cells.label,
    cells.base_model,
    cells.data_source,
    cells.design,
    cells.n_examples_total,
    cells.seed,
    scores.task,
    scores.metric,
    scores.score,
    scores.parsed,
    scores.scoring_rule,
    scores.response,
    scores.missing_reason
FROM scores
INNER JOIN cells USING (cell_id)
ORDER BY cells.n_params, cells.base_model, cells.data_source, cells.n_examples_total, cells.seed,
    cells.cell_id, scores.metric;
