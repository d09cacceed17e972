-- One row per cell that was tried: the attempt that counts, which is the latest done one, else
-- the latest failed one.
CREATE OR REPLACE VIEW stg_run AS
SELECT
    file_name,
    cell_id,
    attempt,
    status,
    failure_stage,
    failure_reason,
    started_at,
    finished_at,
    git_commit,
    environment,
    data_hash,
    checkpoint_rule,
    checkpoint_step,
    n_optimizer_steps,
    n_epochs,
    n_tokens,
    n_target_tokens,
    n_truncated,
    CASE WHEN isfinite(train_loss) THEN train_loss END AS train_loss,
    CASE WHEN isfinite(validation_loss) THEN validation_loss END AS validation_loss,
    train_seconds,
    score_seconds,
    wall_seconds,
    peak_memory_bytes,
    energy_joules,
    cost,
    -- A cell that two imports bring was still tried once.
    count(DISTINCT attempt) OVER (PARTITION BY cell_id) AS n_attempts
FROM raw_run
QUALIFY row_number() OVER (
    PARTITION BY cell_id
    ORDER BY status = 'done' DESC, attempt DESC, finished_at DESC, file_name DESC
) = 1;
