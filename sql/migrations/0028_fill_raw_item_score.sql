INSERT INTO raw_item_score
SELECT
    units.unit_key,
    scorings.scoring_key,
    prompts.prompt_key,
    old.score,
    old.parsed,
    replies.reply_key,
    tokens.choice_tokens_key,
    CAST(old.choice_log_likelihoods AS FLOAT[]) AS choice_log_likelihoods
FROM old_item_score AS old
INNER JOIN raw_unit AS units USING (file_name, cell_id, task)
INNER JOIN
    raw_scoring AS scorings
    USING (ability, metric, higher_is_better, scoring_rule, chance_level, chance_level_uniform)
INNER JOIN raw_prompt AS prompts USING (item_id, prompt_hash, target_hash)
LEFT JOIN raw_reply AS replies
    ON
        old.response IS NOT DISTINCT FROM replies.response
        AND old.missing_reason IS NOT DISTINCT FROM replies.missing_reason
LEFT JOIN raw_choice_tokens AS tokens ON old.choice_tokens = tokens.choice_tokens;
