-- Files that score an item twice for one cell, task and metric. Rows whose hash is alone are told
-- apart by it; only the others are compared by their texts.
WITH hashes AS (
    SELECT hash(filename, cell_id, task, metric, item_id) AS row_hash
    FROM read_parquet($files, filename = true)
),

suspects AS (
    SELECT row_hash
    FROM hashes
    GROUP BY row_hash
    HAVING count(*) > 1
),

repeats AS (
    SELECT filename, cell_id, task, metric, item_id, count(*) AS n_rows
    FROM read_parquet($files, filename = true)
    WHERE hash(filename, cell_id, task, metric, item_id) IN (SELECT row_hash FROM suspects)
    GROUP BY ALL
    HAVING count(*) > 1
)

SELECT
    filename,
    min(format(
        'item {} appears twice for cell {}, task {}, metric {}', item_id, cell_id, task, metric
    )) AS reason,
    CAST(sum(n_rows) AS BIGINT) AS n_rows
FROM repeats
GROUP BY filename;
