INSERT INTO stg_unit_score
SELECT
    units.unit_key,
    old.ability,
    old.metric,
    bool_and(old.higher_is_better) AS higher_is_better,
    count(*) AS n_items,
    count(old.score) AS n_scored,
    avg(old.score) AS score,
    var_samp(old.score) AS score_variance,
    count(old.parsed) AS n_parse_known,
    count(*) FILTER (old.parsed) AS n_parsed,
    avg(old.chance_level) FILTER (old.score IS NOT NULL) AS chance_level,
    avg(old.chance_level_uniform) FILTER (old.score IS NOT NULL) AS chance_level_uniform,
    bit_xor(hash(old.task, old.item_id, old.score)) AS item_hash
FROM old_item_score AS old
INNER JOIN raw_unit AS units USING (file_name, cell_id, task)
GROUP BY units.unit_key, old.ability, old.metric;
