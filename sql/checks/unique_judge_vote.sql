-- fact_judge_vote has one row per vote.
SELECT vote_id, count(*) AS n_rows
FROM fact_judge_vote
GROUP BY vote_id
HAVING count(*) > 1;
