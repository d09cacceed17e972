-- Files with a row that breaks the contract: file, the first reason, how many rows.
WITH landed AS (
    SELECT
        filename,
        cell_id,
        attempt,
        step,
        CASE
            WHEN cell_id IS NULL OR attempt IS NULL OR step IS NULL
                THEN 'a row without cell_id, attempt or step'
            WHEN epoch IS NULL OR learning_rate IS NULL OR n_tokens IS NULL OR seconds IS NULL
                THEN format('step {} has no epoch, learning_rate, n_tokens or seconds', step)
            WHEN attempt < 1 OR step < 1
                THEN format('attempt {} step {} is not positive', attempt, step)
            WHEN count(*) OVER (PARTITION BY filename, cell_id, attempt, step) > 1
                THEN format('cell {} attempt {} step {} appears twice', cell_id, attempt, step)
            -- Never so; it has every column read, so that a damaged page shows here.
            WHEN hash(loss, grad_norm) IS NULL THEN 'unreadable'
        END AS reason
    FROM read_parquet($files, filename = true)
)

SELECT filename, min(reason) AS reason, count(*) AS n_rows
FROM landed
WHERE reason IS NOT NULL
GROUP BY filename;
