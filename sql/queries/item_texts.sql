SELECT
    item_id,
    any_value(prompt) AS prompt,
    any_value(target) AS target,
    any_value(choices) AS choices
FROM dim_item
WHERE ability = $ability
GROUP BY item_id
ORDER BY item_id;
