-- Files that repeat a load unit (cell x attempt) of a loaded file or of an earlier new one.
WITH landed AS (
    SELECT DISTINCT filename, cell_id, attempt
    FROM read_parquet($files, filename = true)
),

loaded AS (
    SELECT DISTINCT file_name, cell_id, attempt
    FROM raw_training_log
    WHERE cell_id IN (SELECT landed.cell_id FROM landed)
),

claims AS (
    SELECT file_name AS filename, file_name, cell_id, attempt, 0 AS turn
    FROM loaded
    UNION ALL
    SELECT filename, parse_filename(filename) AS file_name, cell_id, attempt, 1 AS turn
    FROM landed
),

ranked AS (
    SELECT
        filename,
        turn,
        cell_id,
        attempt,
        first_value(file_name) OVER units AS first_file,
        row_number() OVER units AS place
    FROM claims
    WINDOW units AS (PARTITION BY cell_id, attempt ORDER BY turn, file_name)
)

SELECT
    filename,
    min(format('cell {} attempt {} is already in {}', cell_id, attempt, first_file)) AS reason,
    count(*) AS n_rows
FROM ranked
WHERE turn = 1 AND place > 1
GROUP BY filename;
