WITH wanted AS (
    -- Two studies that share a cell must not double its items.
    SELECT DISTINCT cell_id, ability, metric
    FROM mart_ability_score
    WHERE
        ($study IS NULL OR list_contains($study, study))
        AND ($ability IS NULL OR list_contains($ability, ability))
        AND ($base_model IS NULL OR list_contains($base_model, base_model))
        -- Base cells have no source and belong to every source's curve.
        AND (
            $data_source IS NULL OR data_source IS NULL OR list_contains($data_source, data_source)
        )
        AND ($metric IS NULL OR list_contains($metric, metric))
),

units AS (
    SELECT units.unit_key, wanted.cell_id, wanted.ability, wanted.metric
    FROM wanted
    INNER JOIN raw_unit AS units USING (cell_id)
    INNER JOIN stg_unit_score USING (unit_key, ability, metric)
),

scorings AS (
    SELECT scoring_key, ability, metric
    FROM raw_scoring
)

SELECT
    units.cell_id,
    units.ability,
    units.metric,
    prompts.item_id,
    scores.score
FROM raw_item_score AS scores
INNER JOIN units USING (unit_key)
INNER JOIN scorings USING (scoring_key, ability, metric)
INNER JOIN raw_prompt AS prompts USING (prompt_key)
ORDER BY units.cell_id, units.ability, units.metric, prompts.item_id;
