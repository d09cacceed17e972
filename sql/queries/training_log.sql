SELECT *
FROM fact_training_log
WHERE cell_id = $cell_id
ORDER BY attempt, step;
