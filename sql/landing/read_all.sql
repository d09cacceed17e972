-- No row, or an error: reads every value of the files, so that a damaged page of a column that no
-- rule looks at shows here, and not in the middle of the load.
SELECT min(filename) AS filename, 'no values' AS reason, count(*) AS n_rows
FROM (
    SELECT filename, hash(landed) AS value_hash
    FROM read_parquet($files, filename = true) AS landed
)
HAVING bit_xor(value_hash) IS NULL;
