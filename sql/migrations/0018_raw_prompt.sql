-- Distinct items as models saw them: one item has several prompts where templates differ.
CREATE TABLE raw_prompt (
    prompt_key INTEGER NOT NULL,
    item_id VARCHAR NOT NULL,
    prompt_hash VARCHAR NOT NULL,
    target_hash VARCHAR NOT NULL
);
