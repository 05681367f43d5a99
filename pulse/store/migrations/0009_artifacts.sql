-- Objects in the customers' stores that no request names as its own: parts kept by rules, and
-- what the scanner is to read. The bytes are never here.
CREATE TABLE IF NOT EXISTS artifacts
(
    account_id UUID CODEC(ZSTD(1)),
    environment_id UUID CODEC(ZSTD(1)),
    agent_id UUID CODEC(ZSTD(1)),
    timestamp DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    request_id UUID CODEC(ZSTD(1)),
    connection_id UUID CODEC(ZSTD(1)),
    direction Enum8('ingress' = 1, 'egress-internal' = 2, 'egress-external' = 3) CODEC(ZSTD(1)),
    replayed Bool CODEC(ZSTD(1)),
    artifact_type LowCardinality(String) CODEC(ZSTD(1)),
    digest String CODEC(ZSTD(1)),
    size_bytes UInt64 CODEC(T64, ZSTD(1)),
    url String CODEC(ZSTD(1)),
    scheme LowCardinality(String) CODEC(ZSTD(1)),
    method LowCardinality(String) CODEC(ZSTD(1)),
    host LowCardinality(String) CODEC(ZSTD(1)),
    path String CODEC(ZSTD(1)),
    route LowCardinality(String) CODEC(ZSTD(1)),
    status UInt16 CODEC(ZSTD(1)),
    content_type LowCardinality(String) CODEC(ZSTD(1)),
    exe LowCardinality(String) CODEC(ZSTD(1)),
    hostname LowCardinality(String) CODEC(ZSTD(1)),
    qscan Bool CODEC(ZSTD(1)),
    qscan_monitors LowCardinality(String) CODEC(ZSTD(1)),
    qscan_record_values LowCardinality(String) CODEC(ZSTD(1)),
    qscan_record_document Bool CODEC(ZSTD(1)),
    load_id UUID CODEC(ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(T64, ZSTD(1)),
    INDEX by_request request_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_digest digest TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_load load_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(received_at)
ORDER BY (account_id, timestamp, request_id)
SETTINGS
    non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_compressed_bytes_to_fsync_after_merge = 1
