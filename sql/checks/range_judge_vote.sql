-- A vote has a verdict in range or says why there is none.
SELECT vote_id, study, preference, rating, failed_reason
FROM fact_judge_vote
WHERE
    preference NOT BETWEEN 1 AND 2
    OR NOT isfinite(rating)
    OR (preference IS NULL AND rating IS NULL AND coalesce(failed_reason, '') = '');
