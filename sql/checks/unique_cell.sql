-- mart_cell has one row per study x cell.
SELECT study, cell_id, count(*) AS n_rows
FROM mart_cell
GROUP BY study, cell_id
HAVING count(*) > 1;
