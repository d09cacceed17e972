-- A pair of answers is disputed where some votes prefer the one and some the other.
SELECT DISTINCT item_id
FROM fact_judge_vote
WHERE study = $study AND failed_reason IS NULL
GROUP BY item_id, protocol, model_a, model_b
HAVING min(preference) < 1.5 AND max(preference) > 1.5
ORDER BY item_id;
