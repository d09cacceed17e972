-- Cells of the plan records as landed.
CREATE TABLE raw_plan_cell (
    file_name VARCHAR NOT NULL,
    study VARCHAR NOT NULL,
    cell_id VARCHAR NOT NULL,
    label VARCHAR NOT NULL,
    base_model VARCHAR NOT NULL,
    base_model_revision VARCHAR NOT NULL,
    n_params BIGINT,
    data_source VARCHAR,
    design VARCHAR NOT NULL,
    design_target VARCHAR,
    composition STRUCT(data_source VARCHAR, ability VARCHAR, n_examples BIGINT)[] NOT NULL,
    composition_id VARCHAR NOT NULL,
    volume_setting BIGINT,
    volume_per VARCHAR,
    seed BIGINT,
    template VARCHAR NOT NULL,
    training JSON NOT NULL,
    scoring JSON NOT NULL
);
