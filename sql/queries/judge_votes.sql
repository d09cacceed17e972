-- What the analysis of votes reads; replies and costs stay behind.
SELECT
    study,
    item_id,
    ability,
    model_a,
    model_b,
    shown_first,
    judge,
    annotator,
    preference,
    rating,
    len_a,
    len_b,
    instruction_difficulty
FROM fact_judge_vote
WHERE
    ($study IS NULL OR list_contains($study, study))
    AND ($ability IS NULL OR list_contains($ability, ability))
ORDER BY study, item_id, model_a, model_b, judge, annotator, shown_first, vote_id;
