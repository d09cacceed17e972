-- Files that repeat a load unit (cell x task) of a loaded file or of an earlier new one.
WITH landed AS (
    SELECT DISTINCT filename, cell_id, task
    FROM read_parquet($files, filename = true)
),

claims AS (
    SELECT file_name AS filename, file_name, cell_id, task, 0 AS turn
    FROM raw_unit
    SEMI JOIN landed USING (cell_id, task)
    UNION ALL
    SELECT filename, parse_filename(filename) AS file_name, cell_id, task, 1 AS turn
    FROM landed
),

ranked AS (
    SELECT
        filename,
        turn,
        cell_id,
        task,
        first_value(file_name) OVER units AS first_file,
        row_number() OVER units AS place
    FROM claims
    WINDOW units AS (PARTITION BY cell_id, task ORDER BY turn, file_name)
)

SELECT
    filename,
    min(format('cell {} task {} is already in {}', cell_id, task, first_file)) AS reason,
    count(*) AS n_rows
FROM ranked
WHERE turn = 1 AND place > 1
GROUP BY filename;
