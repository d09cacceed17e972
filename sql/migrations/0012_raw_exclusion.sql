-- Exclusion records as landed: tombstones of cells, and their taking back.
CREATE TABLE raw_exclusion (
    file_name VARCHAR NOT NULL,
    cell_id VARCHAR NOT NULL,
    excluded BOOLEAN NOT NULL,
    reason VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL
);
