-- Which ability's data helps which other: runs on one ability alone against the untouched model?
WITH scores AS (
    SELECT *, CASE WHEN higher_is_better THEN score ELSE -score END AS goodness
    FROM mart_ability_score
    WHERE excluded_reason IS NULL
),

-- Of one volume, a fixed number of steps and a fixed number of epochs are different trainings.
rules AS (
    SELECT
        study,
        cell_id,
        CASE
            WHEN json_extract_string(training, '$.steps') IS NOT NULL THEN 'steps'
            WHEN json_extract_string(training, '$.epochs') IS NOT NULL THEN 'epochs'
        END AS length_rule
    FROM mart_cell
),

base AS (
    SELECT study, base_model, ability, metric, avg(goodness) AS goodness
    FROM scores
    WHERE design = 'base'
    GROUP BY ALL
),

single AS (
    SELECT
        study, base_model, n_params, data_source, metric, n_examples_total, length_rule,
        design_target AS source_ability,
        ability,
        avg(goodness) AS goodness,
        avg(parse_rate) AS parse_rate,
        count(*) AS n_runs
    FROM scores
    INNER JOIN rules USING (study, cell_id)
    WHERE design = 'single_ability'
    GROUP BY ALL
)

SELECT
    study, base_model, data_source, metric, n_examples_total, length_rule, source_ability,
    ability AS target_ability,
    n_runs,
    round(single.goodness - base.goodness, 4) AS effect,
    round(parse_rate, 4) AS parse_rate
FROM single
INNER JOIN base USING (study, base_model, ability, metric)
ORDER BY study, n_params, base_model, data_source, metric, n_examples_total, length_rule,
    source_ability, target_ability;
