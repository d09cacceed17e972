INSERT INTO raw_item_score
SELECT
    parse_filename(filename) AS file_name,
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
FROM read_parquet($files, filename = true);
