-- Imports know what a base model is a size of.
ALTER TABLE raw_plan_cell ADD COLUMN model_family VARCHAR;
