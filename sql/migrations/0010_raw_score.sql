-- Scores without items as landed.
CREATE TABLE raw_score (
    file_name VARCHAR NOT NULL,
    import_id VARCHAR NOT NULL,
    cell_id VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    ability VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    higher_is_better BOOLEAN NOT NULL,
    score DOUBLE,
    missing_reason VARCHAR,
    stderr DOUBLE,
    n_items BIGINT,
    parse_rate DOUBLE,
    chance_level DOUBLE
);
