SELECT
    prompt_key,
    item_id
FROM raw_prompt;
