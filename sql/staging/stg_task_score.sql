-- One row per cell x task x ability x metric, from items where there are any.
CREATE OR REPLACE VIEW stg_task_score AS
SELECT
    units.cell_id,
    units.task,
    scores.ability,
    scores.metric,
    scores.higher_is_better,
    scores.score,
    CAST(NULL AS VARCHAR) AS missing_reason,
    sqrt(scores.score_variance / scores.n_scored) AS stderr,
    scores.n_items,
    scores.n_scored,
    scores.score_variance,
    scores.n_parsed / nullif(scores.n_parse_known, 0) AS parse_rate,
    scores.n_parse_known,
    scores.chance_level,
    scores.chance_level_uniform,
    scores.item_hash
FROM stg_unit_score AS scores
INNER JOIN raw_unit AS units USING (unit_key)
UNION ALL
SELECT
    cell_id,
    task,
    ability,
    metric,
    higher_is_better,
    score,
    missing_reason,
    stderr,
    n_items,
    CASE WHEN score IS NULL THEN 0 ELSE n_items END AS n_scored,
    CAST(NULL AS DOUBLE) AS score_variance,
    parse_rate,
    n_items AS n_parse_known,
    chance_level,
    CAST(NULL AS DOUBLE) AS chance_level_uniform,
    CAST(NULL AS UBIGINT) AS item_hash
FROM stg_score;
