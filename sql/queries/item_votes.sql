SELECT
    protocol,
    model_a,
    model_b,
    shown_first,
    judge,
    annotator,
    preference,
    rating,
    failed_reason,
    raw_text
FROM fact_judge_vote
WHERE study = $study AND item_id = $item_id
ORDER BY protocol, model_a, model_b, judge, annotator, shown_first;
