-- Read from the files rather than from the rows just loaded: one thread then adds up a unit's rows
-- in their order, so that sums agree to the last bit however many files are loaded together.
INSERT INTO stg_unit_score
SELECT
    units.unit_key,
    landed.ability,
    landed.metric,
    bool_and(landed.higher_is_better) AS higher_is_better,
    count(*) AS n_items,
    count(landed.score) AS n_scored,
    avg(landed.score) AS score,
    var_samp(landed.score) AS score_variance,
    count(landed.parsed) AS n_parse_known,
    count(*) FILTER (landed.parsed) AS n_parsed,
    avg(landed.chance_level) FILTER (landed.score IS NOT NULL) AS chance_level,
    avg(landed.chance_level_uniform) FILTER (landed.score IS NOT NULL) AS chance_level_uniform,
    bit_xor(hash(landed.task, landed.item_id, landed.score)) AS item_hash
FROM (
    SELECT parse_filename(filename) AS file_name, *
    FROM read_parquet($files, filename = true)
) AS landed
INNER JOIN raw_unit AS units USING (file_name, cell_id, task)
GROUP BY units.unit_key, landed.ability, landed.metric;
