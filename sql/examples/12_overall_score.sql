-- Overall: macro mean over abilities at each volume, in domain and out of domain apart?
WITH cells AS (
    SELECT
        study, cell_id, base_model, n_params, data_source, n_examples_total, metric, out_of_domain,
        avg(score) AS macro,
        count(*) AS n_abilities
    FROM mart_ability_score
    WHERE excluded_reason IS NULL AND design IN ('base', 'all_abilities', 'imported')
    GROUP BY ALL
)

SELECT
    study, base_model, data_source, metric, out_of_domain, n_examples_total,
    min(n_abilities) AS n_abilities,
    count(*) AS n_runs,
    round(avg(macro), 4) AS macro_score
FROM cells
GROUP BY study, base_model, n_params, data_source, metric, out_of_domain, n_examples_total
ORDER BY study, n_params, base_model, metric, out_of_domain, data_source NULLS FIRST,
    n_examples_total;
