-- dim_base_model has one row per base_model x base_model_revision.
SELECT base_model, base_model_revision, count(*) AS n_rows
FROM dim_base_model
GROUP BY base_model, base_model_revision
HAVING count(*) > 1;
