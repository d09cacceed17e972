SELECT *
FROM dim_import
WHERE $study IS NULL OR list_contains($study, study)
ORDER BY imported_at, import_id;
