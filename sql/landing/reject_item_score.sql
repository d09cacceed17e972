-- Files with a row that breaks the contract: file, the first reason, how many rows. What whole
-- files have in common is looked at once, the rest row by row.
WITH common AS (
    SELECT
        filename,
        cell_id,
        task,
        ability,
        metric,
        higher_is_better,
        scoring_rule,
        chance_level,
        chance_level_uniform,
        count(*) AS n_rows
    FROM read_parquet($files, filename = true)
    GROUP BY ALL
),

common_reasons AS (
    SELECT
        filename,
        n_rows,
        CASE
            WHEN strlen(cell_id) > 1_000 OR strlen(task) > 1_000 OR strlen(ability) > 1_000
                OR strlen(metric) > 1_000 OR strlen(scoring_rule) > 1_000
                THEN 'an id or name of over 1,000 bytes'
            WHEN cell_id IS NULL
                OR NOT regexp_full_match(cell_id, '[A-Za-z0-9][A-Za-z0-9._-]{0,119}')
                THEN format('cell_id {} is not an id', coalesce(cell_id, 'NULL'))
            WHEN ability IS NULL
                OR NOT regexp_full_match(ability, '[A-Za-z0-9][A-Za-z0-9._:+-]{0,119}')
                THEN format('cell {}: ability {} is not a name', cell_id, coalesce(ability, 'NULL'))
            WHEN task IS NULL OR metric IS NULL OR metric = '' OR higher_is_better IS NULL
                OR scoring_rule IS NULL
                THEN format(
                    'cell {} has a row without task, metric, higher_is_better or scoring_rule',
                    cell_id
                )
            WHEN chance_level IS NULL OR chance_level_uniform IS NULL
                OR NOT isfinite(chance_level) OR NOT isfinite(chance_level_uniform)
                OR abs(chance_level) > 1e100 OR abs(chance_level_uniform) > 1e100
                THEN format('task {} has no finite chance level', task)
            WHEN metric = 'accuracy'
                AND (
                    chance_level NOT BETWEEN 0 AND 1 OR chance_level_uniform NOT BETWEEN 0 AND 1
                )
                THEN format('task {}: chance level {} is outside [0, 1]', task, chance_level)
        END AS reason
    FROM common
),

row_reasons AS (
    SELECT
        filename,
        CASE
            WHEN strlen(response) > 10_000_000
                THEN format('a response of {} bytes', strlen(response))
            WHEN strlen(item_id) > 1_000 OR strlen(missing_reason) > 1_000
                THEN 'an id or reason of over 1,000 bytes'
            WHEN item_id = '' THEN 'a row without item_id'
            WHEN NOT isfinite(score) OR abs(score) > 1e100
                THEN format('item {}: score {} is not finite or beyond 1e100', item_id, score)
            WHEN (score < 0 OR score > 1) AND metric = 'accuracy'
                THEN format('item {}: accuracy {} is outside [0, 1]', item_id, score)
            WHEN score IS NULL AND coalesce(missing_reason, '') = ''
                THEN format('item {} has neither a score nor a missing_reason', item_id)
            WHEN len(list_filter(
                choice_log_likelihoods,
                lambda value: isnan(value) OR (isfinite(value) AND abs(value) > 3e38)
            )) > 0
                THEN format('item {}: a choice log-likelihood is NaN or too large', item_id)
            -- Never so; it has these columns read, so that a damaged page shows here.
            WHEN hash(parsed, choice_tokens) IS NULL THEN 'unreadable'
        END AS reason
    FROM read_parquet($files, filename = true)
)

SELECT filename, min(reason) AS reason, CAST(sum(n_rows) AS BIGINT) AS n_rows
FROM (
    SELECT filename, reason, n_rows
    FROM common_reasons
    WHERE reason IS NOT NULL
    UNION ALL
    SELECT filename, reason, 1 AS n_rows
    FROM row_reasons
    WHERE reason IS NOT NULL
)
GROUP BY filename;
