SELECT
    item_id,
    ability,
    protocol,
    model_a,
    model_b,
    shown_first,
    coalesce(judge, annotator) AS voter,
    annotator IS NOT NULL AS is_person,
    preference,
    rating,
    failed_reason,
    raw_text
FROM fact_judge_vote
WHERE study = $study
ORDER BY ability, item_id, protocol, model_a, model_b, voter, shown_first;
