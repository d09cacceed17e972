-- A metric has one direction per ability: scores of two directions must not be averaged.
WITH directions AS (
    SELECT scores.metric, scores.ability, scores.higher_is_better, units.file_name
    FROM stg_unit_score AS scores
    INNER JOIN raw_unit AS units USING (unit_key)
    UNION ALL
    SELECT metric, ability, higher_is_better, file_name
    FROM raw_score
)

SELECT metric, ability, list(DISTINCT file_name ORDER BY file_name)[:5] AS files
FROM directions
GROUP BY metric, ability
HAVING count(DISTINCT higher_is_better) > 1;
