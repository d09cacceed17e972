SELECT study, item_id
FROM dim_item_flag
ORDER BY study, item_id;
