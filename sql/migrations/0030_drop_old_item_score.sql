DROP TABLE old_item_score;
