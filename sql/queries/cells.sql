SELECT *
FROM mart_cell
WHERE $study IS NULL OR list_contains($study, study)
ORDER BY study, n_params, base_model, data_source, n_examples_total, seed, cell_id;
