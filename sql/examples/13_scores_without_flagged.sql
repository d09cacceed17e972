-- Leakage: what does each curve become without the test items that `data check` flagged?
SELECT
    study, base_model, data_source, ability, metric, n_examples_total,
    count(*) AS n_runs,
    min(n_items) AS n_items,
    min(n_flagged) AS n_flagged,
    round(avg(score), 4) AS score,
    round(avg(score_unflagged), 4) AS score_unflagged,
    round(avg(score_unflagged - score), 4) AS change
FROM mart_flagged_score
WHERE excluded_reason IS NULL AND design IN ('base', 'all_abilities', 'imported')
GROUP BY study, base_model, n_params, data_source, ability, metric, n_examples_total
ORDER BY study, n_params, base_model, ability, metric, data_source NULLS FIRST, n_examples_total;
