-- dim_data_source has one row per data_source.
SELECT data_source, count(*) AS n_rows
FROM dim_data_source
GROUP BY data_source
HAVING count(*) > 1;
