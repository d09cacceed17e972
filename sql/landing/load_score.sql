INSERT INTO raw_score
SELECT
    parse_filename(filename) AS file_name,
    import_id,
    cell_id,
    task,
    ability,
    metric,
    higher_is_better,
    score,
    missing_reason,
    stderr,
    n_items,
    parse_rate,
    chance_level
FROM read_parquet($files, filename = true)
ORDER BY file_name, cell_id, task, metric;
