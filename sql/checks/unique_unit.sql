-- One file brings the item scores of a cell on a task.
SELECT cell_id, task, count(*) AS n_rows, list(file_name ORDER BY file_name) AS files
FROM raw_unit
GROUP BY cell_id, task
HAVING count(*) > 1;
