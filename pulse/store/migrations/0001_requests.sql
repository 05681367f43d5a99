-- HTTP exchanges. What every page reads is in LZ4, which costs a third of ZSTD to read where
-- values repeat; the rest in ZSTD. The account stands first in the key: a tenant's query reads its rows alone.
-- Partitions follow the time of arrival, which we set, and not the time in the event: a hostile
-- agent could otherwise spread one batch over a thousand partitions.
CREATE TABLE IF NOT EXISTS requests
(
    account_id UUID CODEC(LZ4),
    environment_id UUID CODEC(LZ4),
    agent_id UUID CODEC(LZ4),
    timestamp DateTime64(6, 'UTC') CODEC(T64, LZ4),
    request_id UUID CODEC(LZ4),
    connection_id UUID CODEC(LZ4),
    direction Enum8('ingress' = 1, 'egress-internal' = 2, 'egress-external' = 3) CODEC(LZ4),
    outcome Enum8('complete' = 1, 'no-response' = 2, 'truncated' = 3, 'malformed' = 4) DEFAULT 'complete' CODEC(ZSTD(1)),
    replayed Bool CODEC(LZ4),
    protocol LowCardinality(String) DEFAULT 'http1' CODEC(ZSTD(1)),
    scheme LowCardinality(String) CODEC(ZSTD(1)),
    method LowCardinality(String) CODEC(ZSTD(1)),
    host LowCardinality(String) CODEC(LZ4),
    path String CODEC(ZSTD(1)),
    status UInt16 CODEC(LZ4),
    duration_us UInt64 CODEC(T64, ZSTD(1)),
    content_type LowCardinality(String) CODEC(ZSTD(1)),
    agent LowCardinality(String) CODEC(ZSTD(1)),
    bytes_sent UInt64 CODEC(T64, ZSTD(1)),
    bytes_received UInt64 CODEC(T64, ZSTD(1)),
    auth_token_type LowCardinality(String) CODEC(ZSTD(1)),
    auth_token_source LowCardinality(String) CODEC(ZSTD(1)),
    auth_token_mask String CODEC(ZSTD(1)),
    auth_token_hash String CODEC(ZSTD(1)),
    tls_probe LowCardinality(String) CODEC(ZSTD(1)),
    tls_version LowCardinality(String) CODEC(ZSTD(1)),
    source_ip IPv6 CODEC(ZSTD(1)),
    source_port UInt16 CODEC(ZSTD(1)),
    destination_ip IPv6 CODEC(ZSTD(1)),
    destination_port UInt16 CODEC(ZSTD(1)),
    hostname LowCardinality(String) CODEC(ZSTD(1)),
    process_id UInt64 CODEC(T64, ZSTD(1)),
    exe LowCardinality(String) CODEC(LZ4),
    user LowCardinality(String) CODEC(ZSTD(1)),
    user_id UInt64 CODEC(T64, ZSTD(1)),
    container_id LowCardinality(String) CODEC(ZSTD(1)),
    container_name LowCardinality(String) CODEC(ZSTD(1)),
    container_image LowCardinality(String) CODEC(ZSTD(1)),
    pod_name LowCardinality(String) CODEC(ZSTD(1)),
    pod_namespace LowCardinality(String) CODEC(ZSTD(1)),
    object_digest String CODEC(ZSTD(1)),
    vendor LowCardinality(String) CODEC(LZ4),
    load_id UUID CODEC(LZ4),
    received_at DateTime64(3, 'UTC') CODEC(T64, ZSTD(1)),
    INDEX by_request request_id TYPE bloom_filter(0.01) GRANULARITY 1,
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
