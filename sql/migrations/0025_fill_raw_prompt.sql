INSERT INTO raw_prompt
SELECT
    row_number() OVER (ORDER BY item_id, prompt_hash, target_hash) AS prompt_key,
    item_id,
    prompt_hash,
    target_hash
FROM (SELECT DISTINCT item_id, prompt_hash, target_hash FROM old_item_score);
