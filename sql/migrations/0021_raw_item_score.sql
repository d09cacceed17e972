-- Item scores as landed, texts by key. No primary key: an index costs more than the rows, and a
-- load unit is refused when it is loaded already. A reply_key or choice_tokens_key may be missing.
CREATE TABLE raw_item_score (
    unit_key INTEGER NOT NULL,
    scoring_key INTEGER NOT NULL,
    prompt_key INTEGER NOT NULL,
    score DOUBLE,
    parsed BOOLEAN,
    reply_key INTEGER,
    choice_tokens_key INTEGER,
    choice_log_likelihoods FLOAT[]
);
