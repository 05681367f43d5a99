-- They are counted again in another form: latencies as the engine's own states cost ten times
-- as much to read as buckets and their counts do.
DROP TABLE IF EXISTS rollups SYNC
