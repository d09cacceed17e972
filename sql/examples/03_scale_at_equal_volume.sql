-- What does a bigger model buy: each model against the next smaller one at equal volume?
WITH cells AS (
    SELECT
        study, data_source, ability, metric, n_examples_total, base_model, n_params,
        avg(score) AS score,
        avg(CASE WHEN higher_is_better THEN score ELSE -score END) AS goodness
    FROM mart_ability_score
    WHERE
        excluded_reason IS NULL
        AND design IN ('base', 'all_abilities', 'imported')
        AND n_params IS NOT NULL
    GROUP BY ALL
)

SELECT
    study, data_source, ability, metric, n_examples_total, base_model, n_params,
    round(score, 4) AS score,
    round(goodness - lag(goodness) OVER by_size, 4) AS gain_over_smaller
FROM cells
WINDOW by_size AS (
    PARTITION BY study, data_source, ability, metric, n_examples_total
    ORDER BY n_params, base_model
)
ORDER BY study, metric, ability, data_source NULLS FIRST, n_examples_total, n_params, base_model;
