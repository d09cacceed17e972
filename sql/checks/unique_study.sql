-- mart_study has one row per study.
SELECT study, count(*) AS n_rows
FROM mart_study
GROUP BY study
HAVING count(*) > 1;
