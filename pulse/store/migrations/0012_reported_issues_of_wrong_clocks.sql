-- An event whose node's clock cannot be right stands at its time of arrival; reported_us is what
-- the node said, in microseconds since 1970.
ALTER TABLE reported_issues
    ADD COLUMN IF NOT EXISTS clock_suspect Bool DEFAULT false CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS reported_us Int64 DEFAULT 0 CODEC(ZSTD(1))
