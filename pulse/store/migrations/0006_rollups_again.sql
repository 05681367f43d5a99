-- Sums of requests by minute (level 60), quarter of an hour (900), hour (3600) and day (86400),
-- always counted from requests, never added to. A row counts only while PostgreSQL's manifest
-- names its version: that is how a bucket is swapped as a whole, and why old versions may lie
-- here until they are removed. Of kind cube all dimensions stand side by side; the other kinds
-- have one dimension, in value. The histogram holds keys of pulse/store/latency.py and how often
-- each occurred. Small granules: an answer needs few rows, and histograms are long.
CREATE TABLE IF NOT EXISTS rollups
(
    account_id UUID CODEC(ZSTD(1)),
    level UInt32 CODEC(ZSTD(1)),
    kind Enum8('cube' = 0, 'total' = 1, 'host' = 2, 'process' = 3, 'vendor' = 4, 'route' = 5, 'method' = 6, 'status' = 7, 'class' = 8, 'direction' = 9, 'hostname' = 10, 'container' = 11, 'pod' = 12) CODEC(ZSTD(1)),
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    version UInt64 CODEC(Delta, ZSTD(1)),
    environment_id UUID CODEC(ZSTD(1)),
    value LowCardinality(String) CODEC(ZSTD(1)),
    direction Enum8('' = 0, 'ingress' = 1, 'egress-internal' = 2, 'egress-external' = 3) CODEC(ZSTD(1)),
    exe LowCardinality(String) CODEC(ZSTD(1)),
    host LowCardinality(String) CODEC(ZSTD(1)),
    vendor LowCardinality(String) CODEC(ZSTD(1)),
    method LowCardinality(String) CODEC(ZSTD(1)),
    route LowCardinality(String) CODEC(ZSTD(1)),
    status UInt16 CODEC(ZSTD(1)),
    requests UInt64 CODEC(T64, ZSTD(1)),
    ingress UInt64 CODEC(T64, ZSTD(1)),
    egress_internal UInt64 CODEC(T64, ZSTD(1)),
    egress_external UInt64 CODEC(T64, ZSTD(1)),
    status_2xx UInt64 CODEC(T64, ZSTD(1)),
    status_3xx UInt64 CODEC(T64, ZSTD(1)),
    status_4xx UInt64 CODEC(T64, ZSTD(1)),
    status_5xx UInt64 CODEC(T64, ZSTD(1)),
    no_response UInt64 CODEC(T64, ZSTD(1)),
    bytes_sent UInt64 CODEC(T64, ZSTD(1)),
    bytes_received UInt64 CODEC(T64, ZSTD(1)),
    replayed UInt64 CODEC(T64, ZSTD(1)),
    errors UInt64 CODEC(T64, ZSTD(1)),
    histogram Tuple(Array(UInt16), Array(UInt64)) CODEC(ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (account_id, level, kind, bucket, version)
SETTINGS
    index_granularity = 1024,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_compressed_bytes_to_fsync_after_merge = 1
