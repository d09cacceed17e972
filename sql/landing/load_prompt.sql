-- Numbered in the order of the files' rows, so that keys run on within a file and take next to no
-- space.
WITH landed AS (
    SELECT item_id, prompt_hash, target_hash, min(file_row_number) AS place
    FROM read_parquet($files, file_row_number = true)
    GROUP BY item_id, prompt_hash, target_hash
)

INSERT INTO raw_prompt
SELECT
    (SELECT coalesce(max(prompt_key), 0) FROM raw_prompt)
    + row_number() OVER (ORDER BY place, item_id, prompt_hash, target_hash) AS prompt_key,
    item_id,
    prompt_hash,
    target_hash
FROM landed
ANTI JOIN raw_prompt USING (item_id, prompt_hash, target_hash);
