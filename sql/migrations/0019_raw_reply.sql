-- Distinct replies, or reasons why a score is missing.
CREATE TABLE raw_reply (
    reply_key INTEGER NOT NULL,
    response VARCHAR,
    missing_reason VARCHAR
);
