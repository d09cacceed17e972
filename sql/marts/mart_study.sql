-- Grain: one row per study.
CREATE OR REPLACE TABLE mart_study AS
WITH plans AS (
    SELECT *
    FROM stg_plan
    WHERE is_latest
),

cells AS (
    SELECT
        study,
        count(*) AS n_cells,
        count(*) FILTER (status = 'done') AS n_done,
        count(*) FILTER (status = 'failed') AS n_failed,
        count(*) FILTER (status = 'pending') AS n_pending,
        count(*) FILTER (excluded_reason IS NOT NULL) AS n_excluded,
        max(finished_at) AS last_finished_at
    FROM mart_cell
    GROUP BY study
),

abilities AS (
    SELECT study, list(DISTINCT ability ORDER BY ability) AS abilities
    FROM mart_ability_score
    GROUP BY study
),

final AS (
    SELECT
        plans.study,
        plans.grid,
        plans.notice,
        plans.resistant_delta,
        coalesce(abilities.abilities, []) AS abilities,
        plans.out_of_domain,
        coalesce(cells.n_cells, 0) AS n_cells,
        coalesce(cells.n_done, 0) AS n_done,
        coalesce(cells.n_failed, 0) AS n_failed,
        coalesce(cells.n_pending, 0) AS n_pending,
        coalesce(cells.n_excluded, 0) AS n_excluded,
        plans.first_created_at AS created_at,
        plans.created_at AS last_planned_at,
        cells.last_finished_at
    FROM plans
    LEFT JOIN cells USING (study)
    LEFT JOIN abilities USING (study)
)

SELECT *
FROM final
ORDER BY study;
