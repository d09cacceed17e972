-- Grain: one row per cell x attempt x step.
CREATE OR REPLACE VIEW fact_training_log AS
WITH logs AS (
    SELECT *
    FROM stg_training_log
),

runs AS (
    SELECT cell_id, attempt
    FROM stg_run
)

SELECT
    logs.cell_id,
    logs.attempt,
    coalesce(logs.attempt = runs.attempt, false) AS is_counted,
    logs.step,
    logs.epoch,
    logs.loss,
    logs.learning_rate,
    logs.grad_norm,
    logs.n_tokens,
    logs.seconds
FROM logs
LEFT JOIN runs USING (cell_id);
