-- Counts agree with each other; fractions lie in [0, 1]; numbers are finite.
SELECT study, cell_id, ability, metric, score, stderr, n_items, n_scored, parse_rate, chance_level
FROM mart_ability_score
WHERE
    n_items < 1
    OR n_scored NOT BETWEEN 0 AND n_items
    OR n_examples_own < 0
    OR n_examples_own > n_examples_total
    OR parse_rate NOT BETWEEN 0 AND 1
    OR NOT isfinite(score)
    OR NOT isfinite(stderr)
    OR stderr < 0
    OR NOT isfinite(chance_level)
    OR NOT isfinite(chance_level_uniform)
    OR (
        metric = 'accuracy'
        AND (
            score NOT BETWEEN 0 AND 1
            OR chance_level NOT BETWEEN 0 AND 1
            OR chance_level_uniform NOT BETWEEN 0 AND 1
        )
    );
