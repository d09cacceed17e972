-- Which cells failed, are pending or are excluded, and why?
SELECT
    study,
    cell_id,
    label,
    CASE WHEN excluded_reason IS NULL THEN status ELSE 'excluded' END AS state,
    n_attempts,
    failure_stage,
    coalesce(excluded_reason, failure_reason) AS reason
FROM mart_cell
WHERE status <> 'done' OR excluded_reason IS NOT NULL
ORDER BY study, state, label, cell_id;
