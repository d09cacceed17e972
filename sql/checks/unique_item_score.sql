-- An item is scored once per cell x task x metric; a second row would count it twice.
SELECT
    cell_id,
    task,
    item_id,
    metric,
    count(*) AS n_rows,
    list(DISTINCT file_name ORDER BY file_name) AS files
FROM raw_item_score
GROUP BY cell_id, task, item_id, metric
HAVING count(*) > 1;
