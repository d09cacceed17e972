-- One row per plan record; the latest one of a study says what the study is.
CREATE OR REPLACE VIEW stg_plan AS
SELECT
    file_name,
    study,
    grid,
    created_at,
    resistant_delta,
    notice,
    out_of_domain,
    grid_settings,
    row_number() OVER (PARTITION BY study ORDER BY created_at DESC, file_name DESC) = 1
        AS is_latest,
    min(created_at) OVER (PARTITION BY study) AS first_created_at
FROM raw_plan;
