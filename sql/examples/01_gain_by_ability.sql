-- Which abilities grow: mean score of the untouched model and at the largest volume?
WITH scores AS (
    SELECT *, CASE WHEN higher_is_better THEN 1 ELSE -1 END AS sign
    FROM mart_ability_score
    WHERE excluded_reason IS NULL
),

base AS (
    SELECT study, base_model, ability, metric, avg(score) AS score
    FROM scores
    WHERE design = 'base'
    GROUP BY ALL
),

trained AS (
    SELECT
        study, base_model, n_params, data_source, ability, metric, sign, n_examples_total,
        avg(score) AS score,
        count(*) AS n_runs
    FROM scores
    WHERE design IN ('all_abilities', 'imported')
    GROUP BY ALL
),

largest AS (
    SELECT *
    FROM trained
    QUALIFY n_examples_total = max(n_examples_total) OVER (
        PARTITION BY study, base_model, data_source, ability, metric
    )
)

SELECT
    study, base_model, data_source, ability, metric,
    largest.n_examples_total,
    largest.n_runs,
    round(base.score, 4) AS base_score,
    round(largest.score, 4) AS score,
    round(largest.sign * (largest.score - base.score), 4) AS gain
FROM largest
LEFT JOIN base USING (study, base_model, ability, metric)
ORDER BY study, n_params, base_model, data_source, metric, gain DESC NULLS LAST, ability;
