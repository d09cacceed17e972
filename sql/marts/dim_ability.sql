-- Grain: one row per ability, trained or tested.
CREATE OR REPLACE TABLE dim_ability AS
WITH tested AS (
    SELECT ability, count(DISTINCT task) AS n_tasks, count(DISTINCT cell_id) AS n_cells_tested
    FROM stg_task_score
    GROUP BY ability
),

trained AS (
    SELECT ability, count(DISTINCT cell_id) AS n_cells_trained
    FROM stg_composition
    GROUP BY ability
)

SELECT
    coalesce(tested.ability, trained.ability) AS ability,
    coalesce(tested.n_tasks, 0) AS n_tasks,
    coalesce(trained.n_cells_trained, 0) AS n_cells_trained,
    coalesce(tested.n_cells_tested, 0) AS n_cells_tested
FROM tested
FULL JOIN trained USING (ability)
ORDER BY ability;
