-- One row per cell x task x metric that was imported without items: of several imports the latest.
CREATE OR REPLACE VIEW stg_score AS
SELECT
    scores.cell_id,
    scores.task,
    scores.ability,
    scores.metric,
    scores.higher_is_better,
    scores.score,
    scores.missing_reason,
    scores.stderr,
    scores.n_items,
    scores.parse_rate,
    scores.chance_level
FROM raw_score AS scores
-- An import that was cut short has no record of its own yet, and doesn't count.
INNER JOIN raw_import AS imports USING (import_id)
QUALIFY row_number() OVER (
    PARTITION BY scores.cell_id, scores.task, scores.metric
    ORDER BY imports.imported_at DESC, scores.file_name DESC
) = 1;
