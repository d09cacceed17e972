SELECT DISTINCT study, ability
FROM fact_judge_vote
ORDER BY study, ability;
