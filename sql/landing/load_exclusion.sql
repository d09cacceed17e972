INSERT INTO raw_exclusion BY NAME
SELECT * FROM landed;
