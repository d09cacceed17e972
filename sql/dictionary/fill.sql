INSERT INTO warehouse_column BY NAME
SELECT * FROM described;
