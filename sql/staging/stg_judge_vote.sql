-- One row per vote: of several imports of one vote the latest, of several attempts one with a
-- verdict. Own votes are current if they were asked for in the way that last gave a verdict.
CREATE OR REPLACE VIEW stg_judge_vote AS
WITH votes AS (
    SELECT votes.*
    FROM raw_judge_vote AS votes
    LEFT JOIN raw_import AS imports USING (import_id)
    WHERE votes.import_id IS NULL OR imports.import_id IS NOT NULL
    QUALIFY row_number() OVER (
        PARTITION BY votes.vote_id
        ORDER BY
            imports.imported_at DESC NULLS LAST,
            votes.failed_reason IS NULL DESC,
            votes.created_at DESC NULLS LAST,
            votes.file_name DESC
    ) = 1
)

SELECT
    * EXCLUDE (file_name),
    import_id IS NOT NULL OR parameters IS NOT DISTINCT FROM last_value(parameters) OVER (
        PARTITION BY study, protocol, judge, ability, import_id IS NULL
        ORDER BY failed_reason IS NULL, created_at NULLS FIRST, parameters
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS is_current
FROM votes;
