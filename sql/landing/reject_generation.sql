-- Files with a row that breaks the contract: file, the first reason, how many rows.
WITH landed AS (
    SELECT
        filename,
        CASE
            WHEN strlen(cell_id) > 1_000 OR strlen(item_id) > 1_000 OR strlen(prompt_hash) > 1_000
                OR strlen(missing_reason) > 10_000 OR strlen(reply) > 10_000_000
                THEN 'an id, reason or reply that is too long'
            WHEN cell_id IS NULL OR cell_id = '' OR item_id IS NULL OR item_id = ''
                THEN 'a row without cell_id or item_id'
            WHEN ability IS NULL
                OR NOT regexp_full_match(ability, '[A-Za-z0-9][A-Za-z0-9._:+-]{0,119}')
                THEN format('item {}: ability {} is not a name', item_id, coalesce(ability, 'NULL'))
            WHEN prompt_hash IS NULL OR max_new_tokens IS NULL OR max_new_tokens < 1
                THEN format('item {} has no prompt_hash or limit of the reply', item_id)
            WHEN reply IS NULL AND coalesce(missing_reason, '') = ''
                THEN format('item {} has neither a reply nor a missing_reason', item_id)
            WHEN n_tokens < 0 OR finish_reason NOT IN ('stop', 'length')
                THEN format('item {} has a bad n_tokens or finish_reason', item_id)
            WHEN count(*) OVER (PARTITION BY filename, cell_id, item_id) > 1
                THEN format('item {} appears twice', item_id)
        END AS reason
    FROM read_parquet($files, filename = true)
)

SELECT filename, min(reason) AS reason, count(*) AS n_rows
FROM landed
WHERE reason IS NOT NULL
GROUP BY filename;
