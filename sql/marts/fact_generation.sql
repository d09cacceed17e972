-- Grain: one row per reply that judges read, by cell, item and limit of its length.
CREATE OR REPLACE VIEW fact_generation AS
SELECT
    cell_id,
    item_id,
    ability,
    prompt_hash,
    max_new_tokens,
    reply,
    n_tokens,
    finish_reason,
    missing_reason
FROM stg_generation;
