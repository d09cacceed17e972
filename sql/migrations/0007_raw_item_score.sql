-- Item scores as landed. No primary key: an index costs more than the rows, and a load unit
-- (cell x task) is refused when it is loaded already.
CREATE TABLE raw_item_score (
    file_name VARCHAR NOT NULL,
    cell_id VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    ability VARCHAR NOT NULL,
    item_id VARCHAR NOT NULL,
    prompt_hash VARCHAR NOT NULL,
    target_hash VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    higher_is_better BOOLEAN NOT NULL,
    scoring_rule VARCHAR NOT NULL,
    score DOUBLE,
    missing_reason VARCHAR,
    parsed BOOLEAN,
    response VARCHAR,
    choice_log_likelihoods DOUBLE[],
    choice_tokens INTEGER[],
    chance_level DOUBLE NOT NULL,
    chance_level_uniform DOUBLE NOT NULL
);
