-- Distinct rows rather than the first file's: which file came first must not change the content.
INSERT INTO raw_item
SELECT item_id, task, ability, prompt, target, choices
FROM read_parquet($files)
EXCEPT
SELECT item_id, task, ability, prompt, target, choices
FROM raw_item;
