-- One row per cell x task x item x metric: what curves and comparisons are made of.
CREATE OR REPLACE VIEW stg_item_score AS
SELECT
    units.cell_id,
    units.task,
    scorings.ability,
    scorings.metric,
    prompts.item_id,
    scores.score,
    scores.parsed
FROM raw_item_score AS scores
INNER JOIN raw_unit AS units USING (unit_key)
INNER JOIN raw_scoring AS scorings USING (scoring_key)
INNER JOIN raw_prompt AS prompts USING (prompt_key);
