-- The parts of a cell's composition add up to its examples.
WITH parts AS (
    SELECT study, cell_id, sum(n_examples) AS n_examples
    FROM mart_composition
    GROUP BY study, cell_id
)

SELECT
    coalesce(cells.study, parts.study) AS study,
    coalesce(cells.cell_id, parts.cell_id) AS cell_id,
    cells.n_examples_total,
    parts.n_examples
FROM mart_cell AS cells
FULL JOIN parts USING (study, cell_id)
WHERE cells.n_examples_total IS DISTINCT FROM coalesce(parts.n_examples, 0);
