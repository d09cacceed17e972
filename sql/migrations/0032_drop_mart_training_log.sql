-- Replaced by fact_training_log.
DROP VIEW IF EXISTS mart_training_log;
