-- Scores of each load unit, kept when its rows are loaded: marts then need no pass over the items.
CREATE TABLE stg_unit_score (
    unit_key INTEGER NOT NULL,
    ability VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    higher_is_better BOOLEAN NOT NULL,
    n_items BIGINT NOT NULL,
    n_scored BIGINT NOT NULL,
    score DOUBLE,
    score_variance DOUBLE,
    n_parse_known BIGINT NOT NULL,
    n_parsed BIGINT NOT NULL,
    chance_level DOUBLE,
    chance_level_uniform DOUBLE,
    item_hash UBIGINT NOT NULL
);
