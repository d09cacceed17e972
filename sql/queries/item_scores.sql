WITH wanted AS (
    SELECT study, cell_id, ability, metric
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

-- Two studies that share a cell must not double its items.
units AS (
    SELECT DISTINCT cell_id, ability, metric
    FROM wanted
),

scores AS (
    SELECT cell_id, ability, metric, item_id, score
    FROM stg_item_score
)

SELECT
    scores.cell_id,
    scores.ability,
    scores.metric,
    scores.item_id,
    scores.score
FROM scores
INNER JOIN units USING (cell_id, ability, metric)
ORDER BY scores.cell_id, scores.ability, scores.metric, scores.item_id;
