SELECT *
FROM mart_ability_score
WHERE
    ($study IS NULL OR list_contains($study, study))
    AND ($ability IS NULL OR list_contains($ability, ability))
    AND ($base_model IS NULL OR list_contains($base_model, base_model))
    -- Base cells have no source and belong to every source's curve.
    AND ($data_source IS NULL OR data_source IS NULL OR list_contains($data_source, data_source))
    AND ($metric IS NULL OR list_contains($metric, metric))
ORDER BY study, n_params, base_model, data_source, n_examples_total, seed, cell_id, ability, metric;
