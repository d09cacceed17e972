-- Distinct item texts; a text that several files carry is stored once.
CREATE TABLE raw_item (
    item_id VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    ability VARCHAR NOT NULL,
    prompt VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    choices VARCHAR[]
);
