-- Grain: one row per checkpoint that was scored.
CREATE OR REPLACE VIEW dim_checkpoint AS
SELECT
    cell_id,
    attempt,
    checkpoint_rule,
    checkpoint_step,
    n_optimizer_steps,
    n_tokens,
    train_loss,
    validation_loss
FROM stg_run
WHERE status = 'done';
