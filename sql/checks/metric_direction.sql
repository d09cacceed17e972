-- A metric has one direction per study and ability: scores of two directions must not be averaged.
WITH directions AS (
    SELECT units.cell_id, scores.metric, scores.ability, scores.higher_is_better, units.file_name
    FROM stg_unit_score AS scores
    INNER JOIN raw_unit AS units USING (unit_key)
    UNION ALL
    SELECT
        scores.cell_id,
        scores.metric,
        scores.ability,
        scores.higher_is_better,
        scores.file_name
    FROM raw_score AS scores
    -- An import that was cut short doesn't count.
    INNER JOIN raw_import USING (import_id)
)

SELECT
    cells.study,
    directions.metric,
    directions.ability,
    list(DISTINCT directions.file_name ORDER BY directions.file_name)[:5] AS files
FROM directions
INNER JOIN stg_study_cell AS cells USING (cell_id)
GROUP BY cells.study, directions.metric, directions.ability
HAVING count(DISTINCT directions.higher_is_better) > 1;
