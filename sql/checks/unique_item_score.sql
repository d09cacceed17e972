-- An item is scored once per cell x task x metric; a second row would count it twice.
-- New rows were looked at when they landed (repeat, overlap), so this is for a rebuild.
WITH units AS (
    SELECT units.unit_key, units.cell_id, units.task, units.file_name
    FROM raw_unit AS units
    WHERE getvariable('since_load') = 0
),

repeats AS (
    SELECT scores.unit_key, scores.scoring_key, scores.prompt_key, count(*) AS n_rows
    FROM raw_item_score AS scores
    INNER JOIN units USING (unit_key)
    GROUP BY scores.unit_key, scores.scoring_key, scores.prompt_key
    HAVING count(*) > 1
)

SELECT
    units.cell_id,
    units.task,
    scorings.metric,
    prompts.item_id,
    repeats.n_rows,
    [units.file_name] AS files
FROM repeats
INNER JOIN units USING (unit_key)
INNER JOIN raw_scoring AS scorings USING (scoring_key)
INNER JOIN raw_prompt AS prompts USING (prompt_key);
