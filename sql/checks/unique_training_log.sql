-- A step is logged once per cell x attempt.
-- New rows were looked at when they landed (repeat, overlap), so this is for a rebuild.
SELECT
    logs.cell_id,
    logs.attempt,
    logs.step,
    count(*) AS n_rows,
    list(DISTINCT logs.file_name ORDER BY logs.file_name) AS files
FROM raw_training_log AS logs
WHERE getvariable('since_load') = 0
GROUP BY logs.cell_id, logs.attempt, logs.step
HAVING count(*) > 1;
