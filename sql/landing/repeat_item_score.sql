-- Files that score an item twice for one cell, task and metric.
WITH repeats AS (
    SELECT filename, cell_id, task, metric, item_id, count(*) AS n_rows
    FROM read_parquet($files, filename = true)
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
