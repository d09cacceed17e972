-- One row per cell x task x item x metric.
CREATE OR REPLACE VIEW stg_item_score AS
SELECT
    cell_id,
    task,
    ability,
    item_id,
    prompt_hash,
    target_hash,
    metric,
    higher_is_better,
    scoring_rule,
    score,
    missing_reason,
    parsed,
    response,
    choice_log_likelihoods,
    choice_tokens,
    chance_level,
    chance_level_uniform
FROM raw_item_score;
