-- Replies for judges as landed.
CREATE TABLE raw_generation (
    file_name VARCHAR NOT NULL,
    cell_id VARCHAR NOT NULL,
    item_id VARCHAR NOT NULL,
    ability VARCHAR NOT NULL,
    prompt_hash VARCHAR NOT NULL,
    max_new_tokens INTEGER NOT NULL,
    reply VARCHAR,
    n_tokens INTEGER,
    finish_reason VARCHAR,
    missing_reason VARCHAR
);
