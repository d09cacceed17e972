-- Grain: one row per base model x revision.
CREATE OR REPLACE TABLE dim_base_model AS
SELECT
    base_model,
    base_model_revision,
    max(n_params) AS n_params,
    max(model_family) AS model_family,
    count(DISTINCT cell_id) AS n_cells
FROM stg_study_cell
GROUP BY base_model, base_model_revision
ORDER BY base_model, base_model_revision;
