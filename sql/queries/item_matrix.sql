WITH wanted AS (
    -- Two studies that share a cell must not double its items.
    SELECT DISTINCT cell_id
    FROM mart_ability_score
    WHERE
        list_contains($study, study)
        AND ability = $ability
        AND metric = $metric
        AND list_contains($base_model, base_model)
        -- Base cells have no source and belong to every source's curve.
        AND ($data_source IS NULL OR data_source IS NULL OR list_contains($data_source, data_source))
),

units AS (
    SELECT units.unit_key
    FROM wanted
    INNER JOIN raw_unit AS units USING (cell_id)
    INNER JOIN stg_unit_score USING (unit_key)
    WHERE stg_unit_score.ability = $ability AND stg_unit_score.metric = $metric
),

scorings AS (
    SELECT scoring_key
    FROM raw_scoring
    WHERE ability = $ability AND metric = $metric
)

SELECT
    scores.unit_key,
    scores.prompt_key,
    scores.score
FROM raw_item_score AS scores
INNER JOIN units USING (unit_key)
INNER JOIN scorings USING (scoring_key);
