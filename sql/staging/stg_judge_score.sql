-- One row per study x cell x ability x metric that judges gave: the mean over items, each item's
-- judges averaged first. Marks from 1 to 10 become 0 to 1. A pair counts when both orders have a
-- verdict; if these differ it is a tie. Chains of volumes ("previous") have no common opponent.
CREATE OR REPLACE VIEW stg_judge_score AS
WITH votes AS (
    SELECT *
    FROM stg_judge_vote
    WHERE is_current AND import_id IS NULL AND judge IS NOT NULL AND ability IS NOT NULL
),

marks AS (
    SELECT
        study,
        model_a AS cell_id,
        ability,
        CASE protocol WHEN 'rubric' THEN 'judge_rating' ELSE 'judge_grade' END AS metric,
        item_id,
        judge,
        avg((rating - 1) / 9 ORDER BY vote_id) AS score
    FROM votes
    WHERE protocol IN ('rubric', 'reference')
    GROUP BY ALL
),

orders AS (
    SELECT
        study,
        model_a AS cell_id,
        ability,
        item_id,
        judge,
        model_b,
        avg(2 - preference ORDER BY vote_id) FILTER (shown_first = 'a') AS shown_first,
        avg(2 - preference ORDER BY vote_id) FILTER (shown_first = 'b') AS shown_second
    FROM votes
    WHERE
        protocol = 'pairwise'
        AND json_extract_string(parameters, '$.against') IS DISTINCT FROM 'previous'
    GROUP BY ALL
),

verdicts AS (
    SELECT * FROM marks
    UNION ALL BY NAME
    SELECT
        study,
        cell_id,
        ability,
        'judge_win_rate' AS metric,
        item_id,
        judge || ' on ' || model_b AS judge,
        CASE
            WHEN sign(shown_first - 0.5) = sign(shown_second - 0.5)
                THEN (shown_first + shown_second) / 2
            WHEN shown_first IS NOT NULL AND shown_second IS NOT NULL THEN 0.5
        END AS score
    FROM orders
),

items AS (
    SELECT study, cell_id, ability, metric, item_id, avg(score ORDER BY judge) AS score
    FROM verdicts
    GROUP BY study, cell_id, ability, metric, item_id
),

means AS (
    SELECT
        *,
        avg(score) OVER (
            PARTITION BY study, cell_id, ability, metric
            ORDER BY item_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS mean_score
    FROM items
)

SELECT
    study,
    cell_id,
    ability,
    metric,
    any_value(mean_score) AS score,
    sqrt(
        sum((score - mean_score) ** 2 ORDER BY item_id)
        / nullif(count(score) - 1, 0) / nullif(count(score), 0)
    ) AS stderr,
    count(*) AS n_items,
    count(score) AS n_scored,
    CASE WHEN count(score) = 0 THEN 'no judge has given a verdict' END AS missing_reason
FROM means
GROUP BY study, cell_id, ability, metric;
