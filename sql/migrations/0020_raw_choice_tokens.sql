-- Distinct token counts of an item's choices.
CREATE TABLE raw_choice_tokens (
    choice_tokens_key INTEGER NOT NULL,
    choice_tokens INTEGER[] NOT NULL
);
