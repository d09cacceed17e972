-- Files with a row that breaks the contract: file, the first reason, how many rows.
WITH landed AS (
    SELECT
        filename,
        CASE
            WHEN strlen(vote_id) > 1_000 OR strlen(item_id) > 1_000 OR strlen(model_a) > 1_000
                OR strlen(model_b) > 1_000 OR strlen(judge) > 1_000 OR strlen(annotator) > 1_000
                OR strlen(protocol) > 1_000 OR strlen(failed_reason) > 10_000
                OR strlen(parameters) > 100_000 OR strlen(raw_text) > 10_000_000
                THEN 'an id, name, reason or text that is too long'
            WHEN vote_id IS NULL OR vote_id = '' THEN 'a row without vote_id'
            WHEN study IS NULL
                OR NOT regexp_full_match(study, '[A-Za-z0-9][A-Za-z0-9._:+-]{0,119}')
                THEN format('vote {}: study {} is not a name', vote_id, coalesce(study, 'NULL'))
            WHEN protocol IS NULL OR item_id IS NULL OR item_id = '' OR model_a IS NULL
                THEN format('vote {} has no protocol, item_id or model_a', vote_id)
            WHEN shown_first IS NOT NULL AND shown_first NOT IN ('a', 'b')
                THEN format('vote {}: shown_first {} is neither a nor b', vote_id, shown_first)
            WHEN preference IS NOT NULL AND NOT (preference >= 1 AND preference <= 2)
                THEN format('vote {}: preference {} is outside [1, 2]', vote_id, preference)
            WHEN preference IS NOT NULL AND model_b IS NULL
                THEN format('vote {} prefers without a second model', vote_id)
            WHEN rating IS NOT NULL AND NOT (rating >= 1 AND rating <= 10)
                THEN format('vote {}: rating {} is outside [1, 10]', vote_id, rating)
            WHEN preference IS NULL AND rating IS NULL AND coalesce(failed_reason, '') = ''
                THEN format('vote {} has neither a verdict nor a failed_reason', vote_id)
            WHEN len_a < 0 OR len_b < 0 OR n_tokens < 0
                OR (latency_seconds IS NOT NULL AND NOT latency_seconds >= 0)
                OR (cost IS NOT NULL AND NOT cost >= 0)
                THEN format('vote {} has a negative length, token count, time or cost', vote_id)
            WHEN count(*) OVER (PARTITION BY filename, vote_id) > 1
                THEN format('vote {} appears twice', vote_id)
            -- Never so; it has every column read, so that a damaged page shows here.
            WHEN hash(instruction_difficulty, prompt_hash, created_at, ability) IS NULL THEN 'unreadable'
        END AS reason
    FROM read_parquet($files, filename = true)
)

SELECT filename, min(reason) AS reason, count(*) AS n_rows
FROM landed
WHERE reason IS NOT NULL
GROUP BY filename;
