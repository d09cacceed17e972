-- Studies that only one of the two snapshots has.
WITH changes AS (
    SELECT study, 'removed' AS change
    FROM (SELECT study FROM before.mart_study EXCEPT SELECT study FROM after.mart_study)
    UNION ALL
    SELECT study, 'added' AS change
    FROM (SELECT study FROM after.mart_study EXCEPT SELECT study FROM before.mart_study)
)

SELECT study, change
FROM changes
ORDER BY study;
