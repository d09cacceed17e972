-- Files with a row that breaks the contract: file, the first reason, how many rows.
WITH landed AS (
    SELECT
        filename,
        CASE
            WHEN strlen(cell_id) > 1_000 OR strlen(ability) > 1_000 OR strlen(task) > 1_000
                OR strlen(metric) > 1_000 OR strlen(import_id) > 1_000
                OR strlen(missing_reason) > 1_000
                THEN 'an id, name or reason of over 1,000 bytes'
            WHEN cell_id IS NULL
                OR NOT regexp_full_match(cell_id, '[A-Za-z0-9][A-Za-z0-9._-]{0,119}')
                THEN format('cell_id {} is not an id', coalesce(cell_id, 'NULL'))
            WHEN ability IS NULL
                OR NOT regexp_full_match(ability, '[A-Za-z0-9][A-Za-z0-9._:+-]{0,119}')
                THEN format('cell {}: ability {} is not a name', cell_id, coalesce(ability, 'NULL'))
            WHEN import_id IS NULL OR task IS NULL OR metric IS NULL OR metric = ''
                OR higher_is_better IS NULL
                THEN format('cell {} has no import_id, task, metric or higher_is_better', cell_id)
            WHEN NOT isfinite(score) OR abs(score) > 1e100
                THEN format('cell {}: score {} is not finite or beyond 1e100', cell_id, score)
            WHEN metric = 'accuracy' AND (score < 0 OR score > 1)
                THEN format('cell {}: accuracy {} is outside [0, 1]', cell_id, score)
            WHEN score IS NULL AND coalesce(missing_reason, '') = ''
                THEN format('cell {} has neither a score nor a missing_reason', cell_id)
            WHEN NOT isfinite(stderr) OR stderr < 0 OR stderr > 1e100
                THEN format('cell {}: stderr {} is not a standard error', cell_id, stderr)
            WHEN n_items NOT BETWEEN 1 AND 1_000_000_000_000_000
                THEN format('cell {}: n_items {} is not from 1 to 1e15', cell_id, n_items)
            WHEN parse_rate IS NOT NULL AND NOT (parse_rate >= 0 AND parse_rate <= 1)
                THEN format('cell {}: parse_rate {} is outside [0, 1]', cell_id, parse_rate)
            WHEN NOT isfinite(chance_level) OR abs(chance_level) > 1e100
                THEN format('cell {}: chance level {} is not finite', cell_id, chance_level)
            WHEN metric = 'accuracy' AND (chance_level < 0 OR chance_level > 1)
                THEN format('cell {}: chance level {} is outside [0, 1]', cell_id, chance_level)
            WHEN count(*) OVER (PARTITION BY filename, cell_id, task, metric) > 1
                THEN format('cell {} task {} metric {} appears twice', cell_id, task, metric)
        END AS reason
    FROM read_parquet($files, filename = true)
)

SELECT filename, min(reason) AS reason, count(*) AS n_rows
FROM landed
WHERE reason IS NOT NULL
GROUP BY filename;
