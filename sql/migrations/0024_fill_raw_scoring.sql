INSERT INTO raw_scoring
SELECT row_number() OVER (
        ORDER BY
            ability, metric, higher_is_better, scoring_rule, chance_level, chance_level_uniform
    ) AS scoring_key, *
FROM (
    SELECT DISTINCT
        ability,
        metric,
        higher_is_better,
        scoring_rule,
        chance_level,
        chance_level_uniform
    FROM old_item_score
);
