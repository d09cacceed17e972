-- Grain: one row per study x cell x ability x metric, for cells that are done.
CREATE OR REPLACE TABLE mart_ability_score AS
WITH studies AS (
    SELECT study, out_of_domain
    FROM stg_plan
    WHERE is_latest
),

cells AS (
    SELECT *
    FROM stg_study_cell
),

done AS (
    SELECT cell_id
    FROM stg_run
    WHERE status = 'done'
),

own AS (
    SELECT cell_id, ability, CAST(sum(n_examples) AS BIGINT) AS n_examples
    FROM stg_composition
    GROUP BY cell_id, ability
),

exclusions AS (
    SELECT cell_id, reason
    FROM stg_exclusion
),

-- Tasks of an ability count by their scored items, or alike where one doesn't say how many.
tasks AS (
    SELECT
        *,
        bool_and(item_hash IS NOT NULL) OVER abilities AS has_items,
        CASE
            WHEN score IS NULL THEN 0
            WHEN bool_and(score IS NULL OR n_scored IS NOT NULL) OVER abilities THEN n_scored
            ELSE 1
        END AS weight
    FROM stg_task_score
    WINDOW abilities AS (PARTITION BY cell_id, ability, metric)
),

means AS (
    SELECT
        *,
        sum(weight * score) OVER abilities / nullif(sum(weight) OVER abilities, 0) AS mean_score
    FROM tasks
    WINDOW abilities AS (
        PARTITION BY cell_id, ability, metric
        ORDER BY task
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
),

-- Sums run in the order of tasks, so that they agree to the last bit in every build. Chance is
-- averaged over the items that carry a score, so that it stays comparable with it.
scores AS (
    SELECT
        cell_id,
        ability,
        metric,
        any_value(mean_score) AS score,
        CASE
            WHEN bool_and(has_items)
                THEN sqrt(
                    (
                        coalesce(sum((n_scored - 1) * score_variance ORDER BY task), 0)
                        + sum(n_scored * (score - mean_score) ** 2 ORDER BY task)
                    ) / nullif(sum(n_scored) - 1, 0) / nullif(sum(n_scored), 0)
                )
            WHEN bool_and(weight = 0 OR stderr IS NOT NULL)
                THEN
                    sqrt(sum((weight * stderr) ** 2 ORDER BY task))
                    / nullif(sum(weight ORDER BY task), 0)
        END AS stderr,
        CASE WHEN bool_and(n_items IS NOT NULL) THEN CAST(sum(n_items) AS BIGINT) END AS n_items,
        CASE WHEN bool_and(n_scored IS NOT NULL) THEN CAST(sum(n_scored) AS BIGINT) END
            AS n_scored,
        sum(parse_rate * coalesce(n_parse_known, 1) ORDER BY task)
        / nullif(sum(coalesce(n_parse_known, 1)) FILTER (parse_rate IS NOT NULL), 0)
            AS parse_rate,
        sum(weight * chance_level ORDER BY task)
        / nullif(sum(weight ORDER BY task) FILTER (chance_level IS NOT NULL), 0) AS chance_level,
        sum(weight * chance_level_uniform ORDER BY task)
        / nullif(sum(weight ORDER BY task) FILTER (chance_level_uniform IS NOT NULL), 0)
            AS chance_level_uniform,
        bool_and(higher_is_better) AS higher_is_better,
        min(missing_reason) AS missing_reason,
        CASE WHEN bool_and(has_items) THEN format('{:016x}', bit_xor(item_hash)) END AS item_hash
    FROM means
    GROUP BY cell_id, ability, metric
),

-- Judges score for one study: another that shares the cell may ask other judges.
study_scores AS (
    SELECT cells.study, scores.*
    FROM cells
    INNER JOIN scores USING (cell_id)
    UNION ALL BY NAME
    SELECT *, true AS higher_is_better
    FROM stg_judge_score
),

final AS (
    SELECT
        cells.study,
        cells.cell_id,
        cells.label,
        study_scores.ability,
        cells.base_model,
        cells.n_params,
        cells.data_source,
        cells.design,
        cells.design_target,
        cells.composition_id,
        cells.volume_setting,
        cells.volume_per,
        -- Imported curves say how many examples there were, not of what.
        CASE
            WHEN cells.design = 'imported' THEN cells.n_examples_total
            ELSE coalesce(own.n_examples, 0)
        END AS n_examples_own,
        cells.n_examples_total,
        cells.seed,
        study_scores.metric,
        study_scores.score,
        study_scores.stderr,
        study_scores.n_items,
        study_scores.n_scored,
        study_scores.parse_rate,
        study_scores.chance_level,
        study_scores.chance_level_uniform,
        study_scores.higher_is_better,
        coalesce(list_contains(studies.out_of_domain, study_scores.ability), false) AS out_of_domain,
        CASE
            WHEN study_scores.score IS NULL
                THEN coalesce(study_scores.missing_reason, 'no item carries a score')
        END AS missing_reason,
        exclusions.reason AS excluded_reason,
        study_scores.item_hash
    FROM cells
    INNER JOIN studies USING (study)
    INNER JOIN done USING (cell_id)
    INNER JOIN study_scores USING (study, cell_id)
    LEFT JOIN exclusions USING (cell_id)
    LEFT JOIN own ON own.cell_id = cells.cell_id AND own.ability = study_scores.ability
)

SELECT *
FROM final
ORDER BY study, ability, metric, cell_id;
