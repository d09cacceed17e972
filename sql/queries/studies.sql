SELECT *
FROM mart_study
ORDER BY study;
