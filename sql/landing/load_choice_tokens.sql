INSERT INTO raw_choice_tokens
SELECT
    (SELECT coalesce(max(choice_tokens_key), 0) FROM raw_choice_tokens)
    + row_number() OVER (ORDER BY choice_tokens) AS choice_tokens_key,
    choice_tokens
FROM (
    SELECT choice_tokens
    FROM read_parquet($files)
    WHERE choice_tokens IS NOT NULL
    EXCEPT
    SELECT choice_tokens
    FROM raw_choice_tokens
);
