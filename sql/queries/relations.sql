SELECT
    relation,
    column_name,
    data_type,
    meaning
FROM warehouse_column
-- What people ask for comes first, the stages on the way to it last.
ORDER BY NOT starts_with(relation, 'mart_'), regexp_matches(relation, '^(raw|stg|schema|warehouse)_'), relation;
