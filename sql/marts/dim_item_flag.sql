-- Grain: one row per study x test item that the study's latest `data check` flagged.
CREATE OR REPLACE VIEW dim_item_flag AS
SELECT
    study,
    item_id,
    sign,
    overlap,
    n_training,
    data_source,
    training_item_id,
    created_at
FROM stg_item_flag;
