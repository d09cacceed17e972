-- Grain: one row per study x cell x ability x metric that has flagged items, for cells that are done.
CREATE OR REPLACE VIEW mart_flagged_score AS
WITH flags AS (
    SELECT study, item_id
    FROM stg_item_flag
),

scores AS (
    SELECT
        marts.study,
        marts.cell_id,
        marts.ability,
        marts.metric,
        count(flags.item_id) AS n_flagged,
        avg(items.score) FILTER (flags.item_id IS NULL) AS score_unflagged,
        avg(items.score) FILTER (flags.item_id IS NOT NULL) AS score_flagged
    FROM mart_ability_score AS marts
    INNER JOIN fact_item_score AS items USING (cell_id, ability, metric)
    LEFT JOIN flags ON marts.study = flags.study AND items.item_id = flags.item_id
    WHERE marts.study IN (SELECT study FROM flags)
    GROUP BY marts.study, marts.cell_id, marts.ability, marts.metric
    HAVING count(flags.item_id) > 0
)

SELECT
    marts.study,
    marts.cell_id,
    marts.label,
    marts.ability,
    marts.base_model,
    marts.n_params,
    marts.data_source,
    marts.design,
    marts.n_examples_own,
    marts.n_examples_total,
    marts.seed,
    marts.metric,
    marts.n_items,
    scores.n_flagged,
    marts.score,
    scores.score_unflagged,
    scores.score_flagged,
    marts.excluded_reason
FROM mart_ability_score AS marts
INNER JOIN scores USING (study, cell_id, ability, metric);
