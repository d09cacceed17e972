-- What does a point cost: time and money of a cell against its mean gain over abilities?
WITH
-- Losses are left out: they are not counted in points.
scores AS (
    SELECT *
    FROM mart_ability_score
    WHERE excluded_reason IS NULL AND NOT out_of_domain AND higher_is_better
),

base AS (
    SELECT study, base_model, ability, metric, avg(score) AS score
    FROM scores
    WHERE design = 'base'
    GROUP BY ALL
),

gains AS (
    SELECT
        scores.study,
        scores.cell_id,
        scores.metric,
        100 * avg(scores.score - base.score) AS points
    FROM scores
    INNER JOIN base USING (study, base_model, ability, metric)
    WHERE scores.design <> 'base'
    GROUP BY ALL
)

-- Unknown costs stay NULL, and so does what a cell costs that gained nothing.
SELECT
    study, cells.base_model, cells.data_source, cells.design, gains.metric,
    cells.n_examples_total,
    count(*) AS n_runs,
    round(avg(gains.points), 2) AS points,
    round(avg(cells.wall_seconds), 1) AS seconds,
    round(avg(cells.cost), 4) AS cost,
    round(avg(cells.wall_seconds) / nullif(greatest(avg(gains.points), 0), 0), 2)
        AS seconds_per_point,
    round(avg(cells.cost) / nullif(greatest(avg(gains.points), 0), 0), 6) AS cost_per_point
FROM gains
INNER JOIN mart_cell AS cells USING (study, cell_id)
GROUP BY ALL
ORDER BY ALL;
