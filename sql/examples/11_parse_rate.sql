-- Where do models not answer in a valid form, which lowers the score whatever they know?
SELECT
    study, base_model, data_source, ability, metric, n_examples_total,
    count(*) AS n_runs,
    round(avg(parse_rate), 4) AS parse_rate,
    round(avg(score), 4) AS score,
    round(avg(chance_level), 4) AS chance_level
FROM mart_ability_score
WHERE
    excluded_reason IS NULL
    AND parse_rate IS NOT NULL
    AND design IN ('base', 'all_abilities', 'imported')
GROUP BY study, base_model, n_params, data_source, ability, metric, n_examples_total
ORDER BY parse_rate, study, n_params, base_model, data_source, ability, metric, n_examples_total;
