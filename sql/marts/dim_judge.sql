-- Grain: one row per judge model or human annotator.
CREATE OR REPLACE TABLE dim_judge AS
SELECT
    judge,
    annotator,
    list(DISTINCT protocol ORDER BY protocol) AS protocols,
    list(DISTINCT study ORDER BY study) AS studies,
    count(*) AS n_votes,
    count(*) FILTER (failed_reason IS NOT NULL) AS n_failed
FROM stg_judge_vote
GROUP BY judge, annotator
ORDER BY judge, annotator;
