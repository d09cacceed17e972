-- Human against synthetic: mean difference of paired runs at equal volume, per ability?
WITH scores AS (
    SELECT
        study, base_model, n_params, design, n_examples_total, seed, ability, metric, data_source,
        CASE WHEN higher_is_better THEN score ELSE -score END AS goodness
    FROM mart_ability_score
    WHERE excluded_reason IS NULL AND design IN ('all_abilities', 'imported')
),

pairs AS (
    SELECT human.*, human.goodness - synthetic.goodness AS difference
    FROM scores AS human
    INNER JOIN scores AS synthetic
        ON
            synthetic.study = human.study
            AND synthetic.base_model = human.base_model
            AND synthetic.design = human.design
            AND synthetic.n_examples_total = human.n_examples_total
            AND synthetic.seed IS NOT DISTINCT FROM human.seed
            AND synthetic.ability = human.ability
            AND synthetic.metric = human.metric
    WHERE human.data_source = 'human' AND synthetic.data_source = 'synthetic'
)

-- The standard error is over runs; NULL with a single pair.
SELECT
    study, base_model, ability, metric, n_examples_total,
    count(*) AS n_pairs,
    round(avg(difference), 4) AS human_minus_synthetic,
    round(stddev_samp(difference) / sqrt(count(*)), 4) AS stderr
FROM pairs
GROUP BY study, base_model, n_params, ability, metric, n_examples_total
ORDER BY study, n_params, base_model, metric, ability, n_examples_total;
