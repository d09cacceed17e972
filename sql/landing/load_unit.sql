INSERT INTO raw_unit
SELECT
    (SELECT coalesce(max(unit_key), 0) FROM raw_unit)
    + row_number() OVER (ORDER BY file_name, cell_id, task) AS unit_key,
    file_name,
    cell_id,
    task
FROM (
    SELECT DISTINCT parse_filename(filename) AS file_name, cell_id, task
    FROM read_parquet($files, filename = true)
);
