-- Training log rows as landed.
CREATE TABLE raw_training_log (
    file_name VARCHAR NOT NULL,
    cell_id VARCHAR NOT NULL,
    attempt INTEGER NOT NULL,
    step INTEGER NOT NULL,
    epoch DOUBLE NOT NULL,
    loss DOUBLE,
    learning_rate DOUBLE NOT NULL,
    grad_norm DOUBLE,
    n_tokens BIGINT NOT NULL,
    seconds DOUBLE NOT NULL
);
