INSERT INTO raw_item_flag BY NAME
SELECT * FROM landed;
