-- Latencies as buckets and their counts (pulse/store/latency.py) instead of the engine's own
-- states, which cost ten times as much to read. No release has written rollups before this.
ALTER TABLE rollups
    DROP COLUMN IF EXISTS latency,
    ADD COLUMN IF NOT EXISTS histogram Tuple(Array(UInt16), Array(UInt64)) CODEC(ZSTD(1))
