-- Distinct ways in which items are scored.
CREATE TABLE raw_scoring (
    scoring_key INTEGER NOT NULL,
    ability VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    higher_is_better BOOLEAN NOT NULL,
    scoring_rule VARCHAR NOT NULL,
    chance_level DOUBLE NOT NULL,
    chance_level_uniform DOUBLE NOT NULL
);
