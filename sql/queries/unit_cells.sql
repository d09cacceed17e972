SELECT
    unit_key,
    cell_id
FROM raw_unit;
