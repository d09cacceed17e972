-- Test items that a data check flagged, as landed: one row per flagged item, or one without an item
-- for a check that flagged none.
CREATE TABLE raw_item_flag (
    file_name VARCHAR NOT NULL,
    study VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL,
    settings JSON NOT NULL,
    item_id VARCHAR,
    sign VARCHAR,
    overlap DOUBLE,
    n_training BIGINT,
    data_source VARCHAR,
    training_item_id VARCHAR
);
