-- Grain: one row per run record: an attempt at a cell, or what an import says of one.
CREATE OR REPLACE VIEW dim_run AS
SELECT
    runs.cell_id,
    runs.attempt,
    runs.status,
    runs.failure_stage,
    runs.failure_reason,
    runs.started_at,
    runs.finished_at,
    runs.git_commit,
    runs.environment,
    runs.data_hash,
    runs.n_optimizer_steps,
    runs.n_epochs,
    runs.n_tokens,
    runs.n_target_tokens,
    runs.n_truncated,
    runs.train_seconds,
    runs.score_seconds,
    runs.wall_seconds,
    runs.peak_memory_bytes,
    runs.energy_joules,
    runs.cost,
    runs.file_name = counted.file_name AS is_counted,
    imports.import_id
FROM raw_run AS runs
INNER JOIN stg_run AS counted USING (cell_id)
LEFT JOIN raw_import AS imports ON runs.file_name = imports.file_name;
