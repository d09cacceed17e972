-- One row per item; of texts that differ under one id, the same one whichever landed first.
CREATE OR REPLACE VIEW stg_item AS
SELECT
    item_id,
    task,
    ability,
    prompt,
    target,
    choices
FROM raw_item
QUALIFY row_number() OVER (
    PARTITION BY item_id
    ORDER BY task, ability, prompt, target, choices
) = 1;
