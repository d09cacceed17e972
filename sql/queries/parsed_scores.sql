-- Scores over replies of a valid form alone; some rules score the others too, by likelihood.
SELECT
    cell_id,
    ability,
    metric,
    avg(score) FILTER (parsed) AS score_given_parsed
FROM stg_item_score
WHERE
    parsed IS NOT NULL
    AND cell_id IN (SELECT cell_id FROM mart_cell WHERE list_contains($study, study))
GROUP BY cell_id, ability, metric
ORDER BY cell_id, ability, metric;
