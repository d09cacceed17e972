-- One row per cell x item x limit of the reply, whichever file holds it.
CREATE OR REPLACE VIEW stg_generation AS
SELECT * EXCLUDE (file_name)
FROM raw_generation
QUALIFY row_number() OVER (
    PARTITION BY cell_id, item_id, max_new_tokens
    ORDER BY file_name DESC
) = 1;
