-- Item scores get keys in the place of texts that repeat: 4 bytes a row where it was 60.
ALTER TABLE raw_item_score RENAME TO old_item_score;
