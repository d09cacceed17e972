-- A cell_id stands for all that changes the result, so every plan that names it says the same.
SELECT cell_id, list(DISTINCT file_name ORDER BY file_name) AS files
FROM raw_plan_cell
GROUP BY cell_id
HAVING
    count(DISTINCT (
        base_model,
        base_model_revision,
        data_source,
        design,
        design_target,
        composition_id,
        seed,
        template
    )) > 1;
