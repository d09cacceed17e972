-- Load units: the item scores of one cell on one task, which one file brings.
CREATE TABLE raw_unit (
    unit_key INTEGER NOT NULL,
    file_name VARCHAR NOT NULL,
    cell_id VARCHAR NOT NULL,
    task VARCHAR NOT NULL
);
