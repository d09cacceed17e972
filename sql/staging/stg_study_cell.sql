-- One row per study x cell: the union of the study's plans, each cell as its latest plan names it.
CREATE OR REPLACE VIEW stg_study_cell AS
WITH plans AS (
    SELECT file_name, created_at
    FROM raw_plan
),

cells AS (
    SELECT *
    FROM raw_plan_cell
)

SELECT
    cells.study,
    cells.cell_id,
    cells.label,
    cells.base_model,
    cells.base_model_revision,
    cells.n_params,
    cells.model_family,
    cells.data_source,
    cells.design,
    cells.design_target,
    cells.composition,
    cells.composition_id,
    CAST(
        coalesce(list_sum(list_transform(cells.composition, lambda part: part.n_examples)), 0)
        AS BIGINT
    ) AS n_examples_total,
    cells.volume_setting,
    cells.volume_per,
    cells.seed,
    cells.template,
    cells.training,
    cells.scoring
FROM cells
INNER JOIN plans USING (file_name)
QUALIFY row_number() OVER (
    PARTITION BY cells.study, cells.cell_id
    ORDER BY plans.created_at DESC, cells.file_name DESC
) = 1;
