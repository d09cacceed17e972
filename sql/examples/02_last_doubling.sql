-- Where is the plateau: what did the last doubling of the data bring to each ability?
WITH volumes AS (
    SELECT
        study, base_model, n_params, data_source, ability, metric, n_examples_total,
        avg(CASE WHEN higher_is_better THEN score ELSE -score END) AS score
    FROM mart_ability_score
    WHERE
        excluded_reason IS NULL
        AND design IN ('all_abilities', 'imported')
        AND n_examples_total > 0
    GROUP BY ALL
),

steps AS (
    SELECT
        *,
        lag(n_examples_total) OVER by_volume AS previous_n_examples,
        lag(score) OVER by_volume AS previous_score,
        row_number() OVER (PARTITION BY study, base_model, data_source, ability, metric
            ORDER BY n_examples_total DESC) AS from_the_end
    FROM volumes
    WINDOW by_volume AS (
        PARTITION BY study, base_model, data_source, ability, metric ORDER BY n_examples_total
    )
)

-- A step that is not a doubling counts by the doublings that it takes.
SELECT
    study, base_model, data_source, ability, metric,
    previous_n_examples,
    n_examples_total,
    round((score - previous_score) / log2(n_examples_total / previous_n_examples), 4)
        AS gain_per_doubling
FROM steps
WHERE from_the_end = 1
ORDER BY study, n_params, base_model, data_source, metric, gain_per_doubling DESC NULLS LAST,
    ability;
