-- Grain: one row per cell x task x ability x metric.
CREATE OR REPLACE VIEW fact_task_score AS
SELECT
    cell_id,
    task,
    ability,
    metric,
    higher_is_better,
    score,
    stderr,
    n_items,
    n_scored,
    parse_rate,
    chance_level,
    chance_level_uniform,
    missing_reason,
    item_hash IS NOT NULL AS has_items
FROM stg_task_score;
