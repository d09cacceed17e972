-- Import records as landed: where imported results come from.
CREATE TABLE raw_import (
    file_name VARCHAR NOT NULL,
    import_id VARCHAR NOT NULL,
    importer VARCHAR NOT NULL,
    study VARCHAR NOT NULL,
    imported_at TIMESTAMP NOT NULL,
    files JSON NOT NULL,
    arguments JSON NOT NULL,
    ignored JSON NOT NULL,
    citation VARCHAR,
    n_rows BIGINT NOT NULL
);
