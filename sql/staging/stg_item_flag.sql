-- One row per study x flagged item: a study's latest check counts.
CREATE OR REPLACE VIEW stg_item_flag AS
WITH latest AS (
    SELECT study, arg_max(file_name, (created_at, file_name)) AS file_name
    FROM raw_item_flag
    GROUP BY study
)

SELECT
    flags.study,
    flags.item_id,
    flags.sign,
    flags.overlap,
    flags.n_training,
    flags.data_source,
    flags.training_item_id,
    flags.created_at
FROM raw_item_flag AS flags
INNER JOIN latest USING (study, file_name)
WHERE flags.item_id IS NOT NULL;
