-- Scores that were added, removed or changed; the largest changes first.
WITH changes AS (
    SELECT
        study,
        cell_id,
        ability,
        metric,
        CASE
            WHEN old.cell_id IS NULL THEN 'added'
            WHEN new.cell_id IS NULL THEN 'removed'
            -- The order in which a mean was summed moves its last digits.
            WHEN abs(new.score - old.score) > 1e-12 THEN 'changed'
            WHEN (new.score IS NULL) <> (old.score IS NULL) THEN 'changed'
        END AS change,
        old.score AS score_before,
        new.score AS score_after,
        new.score - old.score AS difference
    FROM before.mart_ability_score AS old
    FULL JOIN after.mart_ability_score AS new USING (study, cell_id, ability, metric)
)

SELECT *
FROM changes
WHERE change IS NOT NULL
ORDER BY abs(difference) DESC NULLS LAST, study, cell_id, ability, metric;
