INSERT INTO raw_choice_tokens
SELECT row_number() OVER (ORDER BY choice_tokens) AS choice_tokens_key, choice_tokens
FROM (SELECT DISTINCT choice_tokens FROM old_item_score WHERE choice_tokens IS NOT NULL);
