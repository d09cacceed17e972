-- Every score belongs to a cell that is done.
SELECT scores.study, scores.cell_id, scores.ability, scores.metric, cells.status
FROM mart_ability_score AS scores
LEFT JOIN mart_cell AS cells USING (study, cell_id)
WHERE cells.status IS DISTINCT FROM 'done';
