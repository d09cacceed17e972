INSERT INTO raw_plan_cell BY NAME
SELECT * FROM landed;
