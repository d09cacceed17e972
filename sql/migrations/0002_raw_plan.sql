-- Plan records as landed: what a grid asked for.
CREATE TABLE raw_plan (
    file_name VARCHAR NOT NULL,
    study VARCHAR NOT NULL,
    grid VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL,
    resistant_delta DOUBLE,
    notice VARCHAR,
    out_of_domain VARCHAR[] NOT NULL,
    grid_settings JSON NOT NULL
);
