-- Grain: one row per cell x task x item x metric x choice.
CREATE OR REPLACE VIEW fact_choice_log_likelihood AS
WITH scored AS (
    SELECT unit_key, scoring_key, prompt_key, choice_tokens_key, choice_log_likelihoods
    FROM raw_item_score
    WHERE choice_log_likelihoods IS NOT NULL
),

choices AS (
    SELECT
        units.cell_id,
        units.task,
        scorings.metric,
        prompts.item_id,
        scored.choice_log_likelihoods,
        tokens.choice_tokens,
        unnest(range(1, len(scored.choice_log_likelihoods) + 1)) AS choice
    FROM scored
    INNER JOIN raw_unit AS units USING (unit_key)
    INNER JOIN raw_scoring AS scorings USING (scoring_key)
    INNER JOIN raw_prompt AS prompts USING (prompt_key)
    LEFT JOIN raw_choice_tokens AS tokens USING (choice_tokens_key)
)

SELECT
    cell_id,
    task,
    metric,
    item_id,
    choice,
    choice_log_likelihoods[choice] AS log_likelihood,
    choice_tokens[choice] AS n_tokens
FROM choices;
