-- A step is logged once per cell x attempt.
SELECT
    logs.cell_id,
    logs.attempt,
    logs.step,
    count(*) AS n_rows,
    list(DISTINCT logs.file_name ORDER BY logs.file_name) AS files
FROM raw_training_log AS logs
INNER JOIN raw_file AS files ON files.kind = 'training_log' AND logs.file_name = files.file_name
WHERE files.load_number >= getvariable('since_load')
GROUP BY logs.cell_id, logs.attempt, logs.step
HAVING count(*) > 1;
