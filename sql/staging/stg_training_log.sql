-- One row per cell x attempt x step. A diverged step's NaN or infinity becomes NULL here, since
-- one such value would make every average of the column useless.
CREATE OR REPLACE VIEW stg_training_log AS
SELECT
    cell_id,
    attempt,
    step,
    epoch,
    CASE WHEN isfinite(loss) THEN loss END AS loss,
    learning_rate,
    CASE WHEN isfinite(grad_norm) THEN grad_norm END AS grad_norm,
    n_tokens,
    seconds
FROM raw_training_log;
