-- Replaced by fact_item_score.
DROP VIEW IF EXISTS mart_item_score;
