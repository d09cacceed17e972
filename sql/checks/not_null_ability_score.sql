-- What names a point of a curve is never missing; a score is missing only if no item has one.
SELECT study, cell_id, ability, metric, score, n_items, n_scored
FROM mart_ability_score
WHERE
    study IS NULL
    OR cell_id IS NULL
    OR ability IS NULL
    OR base_model IS NULL
    OR design IS NULL
    OR metric IS NULL
    OR n_examples_own IS NULL
    OR n_examples_total IS NULL
    OR higher_is_better IS NULL
    OR out_of_domain IS NULL
    OR (score IS NULL AND n_scored > 0)
    OR (score IS NOT NULL AND n_scored = 0);
