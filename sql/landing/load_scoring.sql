INSERT INTO raw_scoring
SELECT
    (SELECT coalesce(max(scoring_key), 0) FROM raw_scoring)
    + row_number() OVER (
        ORDER BY
            ability, metric, higher_is_better, scoring_rule, chance_level, chance_level_uniform
    ) AS scoring_key,
    *
FROM (
    SELECT
        ability,
        metric,
        higher_is_better,
        scoring_rule,
        chance_level,
        chance_level_uniform
    FROM read_parquet($files)
    EXCEPT
    SELECT
        ability,
        metric,
        higher_is_better,
        scoring_rule,
        chance_level,
        chance_level_uniform
    FROM raw_scoring
);
