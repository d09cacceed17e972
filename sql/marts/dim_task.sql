-- Grain: one row per task x ability.
CREATE OR REPLACE TABLE dim_task AS
SELECT
    task,
    ability,
    list(DISTINCT metric ORDER BY metric) AS metrics,
    max(n_items) AS n_items,
    count(DISTINCT cell_id) AS n_cells
FROM stg_task_score
GROUP BY task, ability
ORDER BY task, ability;
