-- Files with a row that breaks the contract: file, the first reason, how many rows.
WITH landed AS (
    SELECT
        filename,
        CASE
            WHEN strlen(prompt) > 10_000_000 OR strlen(target) > 10_000_000
                THEN 'a prompt or target of over 10,000,000 bytes'
            WHEN strlen(item_id) > 1_000 OR strlen(task) > 1_000 OR strlen(ability) > 1_000
                THEN 'an id or name of over 1,000 bytes'
            WHEN item_id IS NULL OR item_id = '' THEN 'a row without item_id'
            WHEN task IS NULL OR prompt IS NULL OR target IS NULL
                THEN format('item {} has no task, prompt or target', item_id)
            WHEN ability IS NULL
                OR NOT regexp_full_match(ability, '[A-Za-z0-9][A-Za-z0-9._:+-]{0,119}')
                THEN format('item {}: ability {} is not a name', item_id, coalesce(ability, 'NULL'))
            -- Never so; it has every column read, so that a damaged page shows here.
            WHEN hash(choices) IS NULL THEN 'unreadable'
        END AS reason
    FROM read_parquet($files, filename = true)
)

SELECT filename, min(reason) AS reason, count(*) AS n_rows
FROM landed
WHERE reason IS NOT NULL
GROUP BY filename;
