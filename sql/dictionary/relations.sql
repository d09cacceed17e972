SELECT table_name AS relation, column_name, data_type
FROM duckdb_columns()
WHERE NOT internal AND schema_name = 'main'
ORDER BY table_name, column_index;
