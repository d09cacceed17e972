-- A metric has one direction per ability: scores of two directions must not be averaged.
SELECT metric, ability, list(DISTINCT file_name ORDER BY file_name)[:5] AS files
FROM raw_item_score
GROUP BY metric, ability
HAVING count(DISTINCT higher_is_better) > 1;
