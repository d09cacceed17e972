INSERT INTO raw_reply
SELECT
    (SELECT coalesce(max(reply_key), 0) FROM raw_reply)
    + row_number() OVER (ORDER BY response, missing_reason) AS reply_key,
    response,
    missing_reason
FROM (
    SELECT response, missing_reason
    FROM read_parquet($files)
    WHERE response IS NOT NULL OR missing_reason IS NOT NULL
    EXCEPT
    SELECT response, missing_reason
    FROM raw_reply
);
