INSERT INTO raw_generation
SELECT
    parse_filename(filename) AS file_name,
    cell_id,
    item_id,
    ability,
    prompt_hash,
    max_new_tokens,
    reply,
    n_tokens,
    finish_reason,
    missing_reason
FROM read_parquet($files, filename = true)
ORDER BY file_name, cell_id, item_id;
