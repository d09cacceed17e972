-- Which load brought a file, so that checks can look at new rows alone; 0 for loads before this.
ALTER TABLE raw_file ADD COLUMN load_number INTEGER DEFAULT 0;
