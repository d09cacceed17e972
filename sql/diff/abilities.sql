-- Abilities (by metric) that only one of the two snapshots has scores of, in studies of both.
WITH abilities_before AS (
    SELECT DISTINCT study, ability, metric
    FROM before.mart_ability_score
),

abilities_after AS (
    SELECT DISTINCT study, ability, metric
    FROM after.mart_ability_score
),

changes AS (
    SELECT *, 'removed' AS change
    FROM (FROM abilities_before EXCEPT FROM abilities_after)
    UNION ALL
    SELECT *, 'added' AS change
    FROM (FROM abilities_after EXCEPT FROM abilities_before)
)

SELECT study, ability, metric, change
FROM changes
WHERE
    study IN (SELECT study FROM before.mart_study)
    AND study IN (SELECT study FROM after.mart_study)
ORDER BY study, ability, metric;
