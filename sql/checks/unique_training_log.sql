-- A step is logged once per cell x attempt.
SELECT
    cell_id,
    attempt,
    step,
    count(*) AS n_rows,
    list(DISTINCT file_name ORDER BY file_name) AS files
FROM raw_training_log
GROUP BY cell_id, attempt, step
HAVING count(*) > 1;
