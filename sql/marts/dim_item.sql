-- Grain: one row per item whose text has landed.
CREATE OR REPLACE VIEW dim_item AS
SELECT item_id, task, ability, prompt, target, choices
FROM stg_item;
