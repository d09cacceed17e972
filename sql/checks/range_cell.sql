-- A cell has a known status, a reason if it failed, and costs that are not negative.
SELECT study, cell_id, status, failure_reason, n_attempts, n_examples_total
FROM mart_cell
WHERE
    status NOT IN ('done', 'failed', 'pending')
    OR (status = 'failed' AND coalesce(failure_reason, '') = '')
    OR (status = 'pending') != (n_attempts = 0)
    OR n_params < 1
    OR n_examples_total < 0
    OR train_seconds < 0
    OR score_seconds < 0
    OR wall_seconds < 0
    OR n_tokens < 0
    OR peak_memory_bytes < 0;
