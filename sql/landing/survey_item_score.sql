-- What tells one load unit's items apart from another's: units with the same number and the same
-- sums of hashes have the same items, prompts and right answers.
SELECT
    filename,
    task,
    metric,
    count(*) AS n_rows,
    sum(hash(item_id, prompt_hash, target_hash)) AS hash_sum,
    bit_xor(hash(item_id, prompt_hash, target_hash)) AS hash_xor
FROM read_parquet($files, filename = true)
GROUP BY filename, cell_id, task, metric;
