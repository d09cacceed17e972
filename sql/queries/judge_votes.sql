-- What the analysis of votes reads; replies and costs stay behind. Cells go by their label where it
-- names one cell of the study only. Marks given beside the right answer are another scale than marks
-- by rubric, so they have a voter of their own.
WITH names AS (
    SELECT
        study,
        cell_id,
        CASE
            WHEN count(*) OVER (PARTITION BY study, label) = 1 THEN label
            ELSE label || ' (' || cell_id || ')'
        END AS name
    FROM mart_cell
)

SELECT
    votes.study,
    votes.item_id,
    votes.ability,
    coalesce(a.name, votes.model_a) AS model_a,
    coalesce(b.name, votes.model_b) AS model_b,
    votes.shown_first,
    CASE
        WHEN votes.protocol = 'reference' THEN votes.judge || ' (with answer)'
        ELSE votes.judge
    END AS judge,
    votes.annotator,
    votes.preference,
    votes.rating,
    votes.len_a,
    votes.len_b,
    votes.instruction_difficulty
FROM fact_judge_vote AS votes
LEFT JOIN names AS a ON a.study = votes.study AND a.cell_id = votes.model_a
LEFT JOIN names AS b ON b.study = votes.study AND b.cell_id = votes.model_b
WHERE
    votes.is_current
    AND ($study IS NULL OR list_contains($study, votes.study))
    AND ($ability IS NULL OR list_contains($ability, votes.ability))
ORDER BY
    votes.study,
    votes.item_id,
    votes.model_a,
    votes.model_b,
    votes.judge,
    votes.annotator,
    votes.shown_first,
    votes.vote_id;
