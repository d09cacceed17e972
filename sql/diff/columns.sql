-- Columns that only one of the two snapshots has; the tables are the ones that people read.
WITH columns_before AS (
    SELECT table_name, column_name
    FROM duckdb_columns()
    WHERE database_name = 'before' AND NOT internal
),

columns_after AS (
    SELECT table_name, column_name
    FROM duckdb_columns()
    WHERE database_name = 'after' AND NOT internal
),

changes AS (
    SELECT *, 'removed' AS change
    FROM (FROM columns_before EXCEPT FROM columns_after)
    UNION ALL
    SELECT *, 'added' AS change
    FROM (FROM columns_after EXCEPT FROM columns_before)
)

SELECT table_name, column_name, change
FROM changes
WHERE regexp_matches(table_name, '^(mart|dim|fact)_')
ORDER BY table_name, column_name;
