-- Cells that were added or removed, or whose status or exclusion changed.
WITH
-- Through JSON, since snapshots of earlier versions have no column excluded_reason.
cells_before AS (
    SELECT study, cell_id, label, status, to_json(cells) ->> 'excluded_reason' AS excluded
    FROM before.mart_cell AS cells
),

cells_after AS (
    SELECT study, cell_id, label, status, to_json(cells) ->> 'excluded_reason' AS excluded
    FROM after.mart_cell AS cells
),

changes AS (
    SELECT
        study,
        cell_id,
        coalesce(new.label, old.label) AS label,
        CASE
            WHEN old.status IS NULL THEN 'added'
            WHEN new.status IS NULL THEN 'removed'
            WHEN old.status <> new.status THEN 'status'
            WHEN old.excluded IS DISTINCT FROM new.excluded THEN 'exclusion'
        END AS change,
        old.status AS status_before,
        new.status AS status_after,
        old.excluded AS excluded_before,
        new.excluded AS excluded_after
    FROM cells_before AS old
    FULL JOIN cells_after AS new USING (study, cell_id)
)

SELECT *
FROM changes
WHERE change IS NOT NULL
ORDER BY study, cell_id;
