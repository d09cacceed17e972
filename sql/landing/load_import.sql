INSERT INTO raw_import BY NAME
SELECT * FROM landed;
