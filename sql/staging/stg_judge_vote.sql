-- One row per vote: of several imports of one vote the latest.
CREATE OR REPLACE VIEW stg_judge_vote AS
SELECT votes.* EXCLUDE (file_name)
FROM raw_judge_vote AS votes
LEFT JOIN raw_import AS imports USING (import_id)
WHERE votes.import_id IS NULL OR imports.import_id IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY votes.vote_id
    ORDER BY imports.imported_at DESC NULLS LAST, votes.file_name DESC
) = 1;
