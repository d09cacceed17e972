-- Every item score has its unit, scoring, prompt, reply and token counts; none was lost on the way.
WITH units AS (
    SELECT units.unit_key, units.cell_id, units.task
    FROM raw_unit AS units
    INNER JOIN raw_file AS files
        ON files.kind = 'item_score' AND units.file_name = files.file_name
    WHERE files.load_number >= getvariable('since_load')
),

expected AS (
    SELECT unit_key, sum(n_items) AS n_items
    FROM stg_unit_score
    GROUP BY unit_key
),

found AS (
    SELECT
        scores.unit_key,
        count(*) FILTER (
            scorings.scoring_key IS NOT NULL
            AND prompts.prompt_key IS NOT NULL
            AND (scores.reply_key IS NULL OR replies.reply_key IS NOT NULL)
            AND (scores.choice_tokens_key IS NULL OR tokens.choice_tokens_key IS NOT NULL)
        ) AS n_items
    FROM raw_item_score AS scores
    INNER JOIN units USING (unit_key)
    LEFT JOIN raw_scoring AS scorings USING (scoring_key)
    LEFT JOIN raw_prompt AS prompts USING (prompt_key)
    LEFT JOIN raw_reply AS replies USING (reply_key)
    LEFT JOIN raw_choice_tokens AS tokens USING (choice_tokens_key)
    GROUP BY scores.unit_key
)

SELECT units.cell_id, units.task, expected.n_items AS n_expected, found.n_items AS n_found
FROM units
LEFT JOIN expected USING (unit_key)
LEFT JOIN found USING (unit_key)
WHERE expected.n_items IS DISTINCT FROM found.n_items;
