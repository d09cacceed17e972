-- Grain: one row per vote.
CREATE OR REPLACE VIEW fact_judge_vote AS
SELECT *
FROM stg_judge_vote;
