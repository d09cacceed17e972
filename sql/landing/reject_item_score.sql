-- Files with a row that breaks the contract: file, the first reason, how many rows.
WITH landed AS (
    SELECT
        filename,
        CASE
            WHEN strlen(response) > 10_000_000
                THEN format('a response of {} bytes', strlen(response))
            WHEN strlen(cell_id) > 1_000 OR strlen(ability) > 1_000 OR strlen(item_id) > 1_000
                OR strlen(task) > 1_000 OR strlen(metric) > 1_000 OR strlen(prompt_hash) > 1_000
                OR strlen(target_hash) > 1_000 OR strlen(scoring_rule) > 1_000
                OR strlen(missing_reason) > 1_000
                THEN 'an id, hash, name or reason of over 1,000 bytes'
            WHEN cell_id IS NULL
                OR NOT regexp_full_match(cell_id, '[A-Za-z0-9][A-Za-z0-9._-]{0,119}')
                THEN format('cell_id {} is not an id', coalesce(cell_id, 'NULL'))
            WHEN item_id IS NULL OR item_id = '' THEN 'a row without item_id'
            WHEN ability IS NULL
                OR NOT regexp_full_match(ability, '[A-Za-z0-9][A-Za-z0-9._:+-]{0,119}')
                THEN format('item {}: ability {} is not a name', item_id, coalesce(ability, 'NULL'))
            WHEN task IS NULL OR metric IS NULL OR metric = '' OR higher_is_better IS NULL
                OR scoring_rule IS NULL OR prompt_hash IS NULL OR target_hash IS NULL
                THEN format(
                    'item {} has no task, metric, higher_is_better, scoring_rule or hash', item_id
                )
            WHEN NOT isfinite(score)
                THEN format('item {}: score {} is not finite', item_id, score)
            WHEN metric = 'accuracy' AND (score < 0 OR score > 1)
                THEN format('item {}: accuracy {} is outside [0, 1]', item_id, score)
            WHEN score IS NULL AND coalesce(missing_reason, '') = ''
                THEN format('item {} has neither a score nor a missing_reason', item_id)
            WHEN chance_level IS NULL OR chance_level_uniform IS NULL
                OR NOT isfinite(chance_level) OR NOT isfinite(chance_level_uniform)
                THEN format('item {} has no finite chance level', item_id)
            WHEN metric = 'accuracy'
                AND (
                    chance_level NOT BETWEEN 0 AND 1 OR chance_level_uniform NOT BETWEEN 0 AND 1
                )
                THEN format('item {}: chance level {} is outside [0, 1]', item_id, chance_level)
            WHEN len(list_filter(
                choice_log_likelihoods,
                lambda value: isnan(value) OR (isfinite(value) AND abs(value) > 3e38)
            )) > 0
                THEN format('item {}: a choice log-likelihood is NaN or too large', item_id)
        END AS reason
    FROM read_parquet($files, filename = true)
)

SELECT filename, min(reason) AS reason, count(*) AS n_rows
FROM landed
WHERE reason IS NOT NULL
GROUP BY filename;
