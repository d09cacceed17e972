WITH voted AS (
    -- Votes may be all that was imported of a study.
    SELECT DISTINCT study, [] AS abilities, 0 AS n_cells, 0 AS n_done
    FROM fact_judge_vote
    ANTI JOIN mart_study USING (study)
)

SELECT *
FROM mart_study
UNION ALL BY NAME
SELECT *
FROM voted
ORDER BY study;
