-- How much data is enough: the first volume at which each ability's mean score reaches a target?
WITH target AS (
    SELECT 0.5 AS score
),

-- Losses are left out: a target for them is another number.
volumes AS (
    SELECT
        study, base_model, n_params, data_source, ability, metric, n_examples_total,
        avg(score) AS score
    FROM mart_ability_score
    WHERE
        excluded_reason IS NULL
        AND design IN ('all_abilities', 'imported')
        AND higher_is_better
    GROUP BY ALL
)

-- NULL: no volume that was run reaches it. A real answer needs an interval: see `fit`.
SELECT
    study, base_model, data_source, ability, metric,
    min(n_examples_total) FILTER (volumes.score >= target.score) AS first_n_examples,
    max(n_examples_total) AS largest_n_examples,
    round(max(volumes.score), 4) AS best_score
FROM volumes
CROSS JOIN target
GROUP BY study, base_model, n_params, data_source, ability, metric
ORDER BY study, n_params, base_model, data_source, metric, first_n_examples NULLS LAST, ability;
