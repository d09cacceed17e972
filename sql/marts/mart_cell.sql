-- Grain: one row per study x cell, planned or tried.
CREATE OR REPLACE TABLE mart_cell AS
WITH cells AS (
    SELECT *
    FROM stg_study_cell
),

runs AS (
    SELECT *
    FROM stg_run
),

scores AS (
    SELECT cell_id, CAST(sum(n_items) AS BIGINT) AS n_item_scores
    FROM stg_task_score
    WHERE item_hash IS NOT NULL
    GROUP BY cell_id
),

exclusions AS (
    SELECT cell_id, reason
    FROM stg_exclusion
),

final AS (
    SELECT
        cells.study,
        cells.cell_id,
        cells.label,
        coalesce(runs.status, 'pending') AS status,
        runs.failure_stage,
        runs.failure_reason,
        coalesce(runs.n_attempts, 0) AS n_attempts,
        runs.attempt,
        cells.base_model,
        cells.base_model_revision,
        cells.n_params,
        cells.model_family,
        cells.data_source,
        cells.design,
        cells.design_target,
        cells.composition_id,
        cells.volume_setting,
        cells.volume_per,
        cells.n_examples_total,
        cells.seed,
        cells.template,
        cells.training,
        cells.scoring,
        runs.n_optimizer_steps,
        runs.n_epochs,
        runs.n_tokens,
        runs.n_target_tokens,
        runs.n_truncated,
        runs.checkpoint_rule,
        runs.checkpoint_step,
        runs.train_loss,
        runs.validation_loss,
        runs.train_seconds,
        runs.score_seconds,
        runs.wall_seconds,
        runs.peak_memory_bytes,
        runs.energy_joules,
        runs.cost,
        coalesce(scores.n_item_scores, 0) AS n_item_scores,
        runs.data_hash,
        runs.git_commit,
        runs.environment,
        runs.started_at,
        runs.finished_at,
        exclusions.reason AS excluded_reason
    FROM cells
    LEFT JOIN runs USING (cell_id)
    LEFT JOIN scores USING (cell_id)
    LEFT JOIN exclusions USING (cell_id)
)

SELECT *
FROM final
ORDER BY study, cell_id;
