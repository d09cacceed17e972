SELECT grid_settings
FROM stg_plan
WHERE study = $study AND is_latest;
