-- Registry of the landing files that were loaded: what makes an ingest idempotent.
CREATE TABLE raw_file (
    kind VARCHAR NOT NULL,
    file_name VARCHAR NOT NULL,
    size_bytes BIGINT NOT NULL,
    modified_ns BIGINT NOT NULL,
    content_hash VARCHAR NOT NULL,
    n_rows BIGINT NOT NULL,
    loaded_at TIMESTAMP NOT NULL,
    PRIMARY KEY (kind, file_name)
);
