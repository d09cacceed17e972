-- One row: which content the marts were built from, so that a publish that was cut short is seen.
CREATE TABLE warehouse_build (
    content_version VARCHAR NOT NULL,
    built_at TIMESTAMP NOT NULL
);
