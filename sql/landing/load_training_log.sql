INSERT INTO raw_training_log
SELECT
    parse_filename(filename) AS file_name,
    cell_id,
    attempt,
    step,
    epoch,
    loss,
    learning_rate,
    grad_norm,
    n_tokens,
    seconds
FROM read_parquet($files, filename = true)
ORDER BY file_name, cell_id, attempt, step;
