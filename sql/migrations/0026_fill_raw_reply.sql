INSERT INTO raw_reply
SELECT
    row_number() OVER (ORDER BY response, missing_reason) AS reply_key,
    response,
    missing_reason
FROM (
    SELECT DISTINCT response, missing_reason
    FROM old_item_score
    WHERE response IS NOT NULL OR missing_reason IS NOT NULL
);
