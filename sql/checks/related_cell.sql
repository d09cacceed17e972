-- Every cell belongs to a study, whose counts add up to its cells.
WITH cells AS (
    SELECT study, count(*) AS n_cells
    FROM mart_cell
    GROUP BY study
)

SELECT
    coalesce(cells.study, studies.study) AS study,
    cells.n_cells,
    studies.n_done,
    studies.n_failed,
    studies.n_pending
FROM cells
FULL JOIN mart_study AS studies USING (study)
WHERE
    coalesce(cells.n_cells, 0)
    IS DISTINCT FROM studies.n_done + studies.n_failed + studies.n_pending;
