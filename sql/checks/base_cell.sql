-- Only the untouched base model has no training examples; it has neither source nor seed.
SELECT study, cell_id, design, data_source, seed, n_examples_total
FROM mart_cell
WHERE
    (design = 'base' AND (n_examples_total > 0 OR data_source IS NOT NULL OR seed IS NOT NULL))
    OR (design NOT IN ('base', 'imported') AND n_examples_total = 0);
