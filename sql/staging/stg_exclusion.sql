-- One row per cell that is excluded now: the latest word counts.
CREATE OR REPLACE VIEW stg_exclusion AS
WITH latest AS (
    SELECT cell_id, excluded, reason, created_at
    FROM raw_exclusion
    QUALIFY row_number() OVER (
        PARTITION BY cell_id ORDER BY created_at DESC, file_name DESC
    ) = 1
)

SELECT cell_id, reason, created_at
FROM latest
WHERE excluded;
