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

-- Chance is averaged over the items that carry a score, so that it stays comparable with it.
scores AS (
    SELECT
        cell_id,
        ability,
        metric,
        avg(score) AS score,
        stddev_samp(score) / sqrt(count(score)) AS stderr,
        count(*) AS n_items,
        count(score) AS n_scored,
        avg(CAST(parsed AS INTEGER)) AS parse_rate,
        avg(chance_level) FILTER (score IS NOT NULL) AS chance_level,
        avg(chance_level_uniform) FILTER (score IS NOT NULL) AS chance_level_uniform,
        bool_and(higher_is_better) AS higher_is_better
    FROM stg_item_score
    GROUP BY cell_id, ability, metric
),

final AS (
    SELECT
        cells.study,
        cells.cell_id,
        cells.label,
        scores.ability,
        cells.base_model,
        cells.n_params,
        cells.data_source,
        cells.design,
        cells.design_target,
        cells.composition_id,
        cells.volume_setting,
        cells.volume_per,
        coalesce(own.n_examples, 0) AS n_examples_own,
        cells.n_examples_total,
        cells.seed,
        scores.metric,
        scores.score,
        scores.stderr,
        scores.n_items,
        scores.n_scored,
        scores.parse_rate,
        scores.chance_level,
        scores.chance_level_uniform,
        scores.higher_is_better,
        list_contains(studies.out_of_domain, scores.ability) AS out_of_domain
    FROM cells
    INNER JOIN studies USING (study)
    INNER JOIN done USING (cell_id)
    INNER JOIN scores USING (cell_id)
    LEFT JOIN own ON own.cell_id = cells.cell_id AND own.ability = scores.ability
)

SELECT *
FROM final
ORDER BY study, cell_id, ability, metric;
