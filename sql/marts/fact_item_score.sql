-- Grain: one row per cell x task x item x metric.
CREATE OR REPLACE VIEW fact_item_score AS
SELECT
    units.cell_id,
    units.task,
    scorings.ability,
    scorings.metric,
    prompts.item_id,
    scores.score,
    scores.parsed,
    replies.response,
    replies.missing_reason,
    scorings.higher_is_better,
    scorings.scoring_rule,
    scorings.chance_level,
    scorings.chance_level_uniform,
    prompts.prompt_hash,
    prompts.target_hash
FROM raw_item_score AS scores
INNER JOIN raw_unit AS units USING (unit_key)
INNER JOIN raw_scoring AS scorings USING (scoring_key)
INNER JOIN raw_prompt AS prompts USING (prompt_key)
LEFT JOIN raw_reply AS replies USING (reply_key);
