-- The path's template as the loader knew it, stored with the row: whatever is counted by it
-- later counts the same. Empty for rows from before.
ALTER TABLE requests
    ADD COLUMN IF NOT EXISTS route LowCardinality(String) CODEC(LZ4) AFTER path
