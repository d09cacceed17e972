SELECT *
FROM fact_choice_log_likelihood
WHERE cell_id = $cell_id AND item_id = $item_id;
