-- What every column means, for whoever looks at the database alone; filled by each build.
CREATE TABLE warehouse_column (
    relation VARCHAR NOT NULL,
    column_name VARCHAR NOT NULL,
    data_type VARCHAR NOT NULL,
    meaning VARCHAR NOT NULL
);
