INSERT INTO raw_unit
SELECT
    row_number() OVER (ORDER BY file_name, cell_id, task) AS unit_key,
    file_name,
    cell_id,
    task
FROM (SELECT DISTINCT file_name, cell_id, task FROM old_item_score);
