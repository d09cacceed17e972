-- Grain: one row per import.
CREATE OR REPLACE VIEW dim_import AS
SELECT
    import_id,
    importer,
    study,
    imported_at,
    files,
    arguments,
    ignored,
    citation,
    n_rows
FROM raw_import;
