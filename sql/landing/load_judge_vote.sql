INSERT INTO raw_judge_vote
SELECT
    parse_filename(filename) AS file_name,
    vote_id,
    import_id,
    study,
    protocol,
    item_id,
    ability,
    model_a,
    model_b,
    shown_first,
    judge,
    annotator,
    preference,
    rating,
    failed_reason,
    len_a,
    len_b,
    instruction_difficulty,
    prompt_hash,
    parameters,
    raw_text,
    n_tokens,
    latency_seconds,
    cost,
    created_at
FROM read_parquet($files, filename = true)
ORDER BY file_name, vote_id;
