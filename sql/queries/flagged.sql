-- Test items by ability that training data may give away, by the study's latest `data check`.
SELECT
    ability,
    max(n_flagged) AS n_flagged,
    max(n_items) AS n_items
FROM mart_flagged_score
WHERE study = $study
GROUP BY ability
ORDER BY ability;
