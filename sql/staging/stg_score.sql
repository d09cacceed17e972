-- One row per cell x task x metric that was imported without items: of several imports the latest.
-- Where the items landed too, they count.
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
LEFT JOIN (
    SELECT DISTINCT units.cell_id, units.task, items.metric
    FROM stg_unit_score AS items
    INNER JOIN raw_unit AS units USING (unit_key)
) AS itemised
    ON scores.cell_id = itemised.cell_id
    AND scores.task = itemised.task
    AND scores.metric = itemised.metric
WHERE itemised.cell_id IS NULL
QUALIFY row_number() OVER (
    PARTITION BY scores.cell_id, scores.task, scores.metric
    ORDER BY imports.imported_at DESC, scores.file_name DESC
) = 1;
