-- Which mixture is best: macro mean over abilities, in domain and out of domain apart?
WITH cells AS (
    SELECT
        study, base_model, n_params, metric, out_of_domain, seed,
        design_target AS mixture,
        n_examples_total,
        avg(CASE WHEN higher_is_better THEN score ELSE -score END) AS macro,
        count(*) AS n_abilities
    FROM mart_ability_score
    WHERE excluded_reason IS NULL AND design = 'mixture'
    GROUP BY ALL
),

-- Paired by seed: the seed's own level falls out of the difference to its mixtures' mean.
paired AS (
    SELECT
        *,
        macro - avg(macro) OVER (
            PARTITION BY study, base_model, metric, out_of_domain, seed
        ) AS difference
    FROM cells
)

SELECT
    study, base_model, metric, out_of_domain, mixture,
    any_value(n_examples_total) AS n_examples_total,
    max(n_abilities) AS n_abilities,
    count(*) AS n_runs,
    round(avg(macro), 4) AS macro_score,
    round(avg(difference), 4) AS against_mean_of_mixtures,
    round(stddev_samp(difference) / sqrt(count(*)), 4) AS stderr
FROM paired
GROUP BY study, base_model, n_params, metric, out_of_domain, mixture
ORDER BY study, n_params, base_model, metric, out_of_domain, macro_score DESC, mixture;
