-- What was each cell trained on: examples and share by source and ability?
SELECT
    composition.study,
    cells.base_model,
    cells.design,
    cells.design_target,
    cells.label,
    composition.data_source,
    composition.ability,
    composition.n_examples,
    round(composition.n_examples / cells.n_examples_total, 4) AS share
FROM mart_composition AS composition
INNER JOIN mart_cell AS cells USING (study, cell_id)
ORDER BY composition.study, cells.n_params, cells.n_examples_total, cells.label,
    composition.cell_id, composition.data_source, composition.ability;
