SELECT *
FROM mart_composition
WHERE $study IS NULL OR list_contains($study, study)
ORDER BY study, cell_id, data_source, ability;
