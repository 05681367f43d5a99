-- DNS lookups of the nodes' processes. Laid out as requests are: the account first, partitions
-- by the time of arrival.
CREATE TABLE IF NOT EXISTS dns_lookups
(
    account_id UUID CODEC(ZSTD(1)),
    environment_id UUID CODEC(ZSTD(1)),
    agent_id UUID CODEC(ZSTD(1)),
    timestamp DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    lookup_id UUID CODEC(ZSTD(1)),
    connection_id UUID CODEC(ZSTD(1)),
    direction Enum8('ingress' = 1, 'egress-internal' = 2, 'egress-external' = 3) CODEC(ZSTD(1)),
    replayed Bool CODEC(ZSTD(1)),
    name String CODEC(ZSTD(1)),
    query_type LowCardinality(String) CODEC(ZSTD(1)),
    outcome Enum8('answered' = 1, 'truncated' = 2, 'malformed' = 3, 'timeout' = 4) CODEC(ZSTD(1)),
    rcode LowCardinality(String) CODEC(ZSTD(1)),
    transport LowCardinality(String) DEFAULT 'udp' CODEC(ZSTD(1)),
    duration_us UInt64 CODEC(T64, ZSTD(1)),
    attempts UInt64 DEFAULT 1 CODEC(T64, ZSTD(1)),
    addresses String CODEC(ZSTD(1)),
    aliases String CODEC(ZSTD(1)),
    answer_count UInt64 CODEC(T64, ZSTD(1)),
    authoritative Bool CODEC(ZSTD(1)),
    authenticated Bool CODEC(ZSTD(1)),
    edns Bool CODEC(ZSTD(1)),
    bytes_sent UInt64 CODEC(T64, ZSTD(1)),
    bytes_received UInt64 CODEC(T64, ZSTD(1)),
    source_ip LowCardinality(String) CODEC(ZSTD(1)),
    source_port UInt16 CODEC(ZSTD(1)),
    destination_ip LowCardinality(String) CODEC(ZSTD(1)),
    destination_port UInt16 CODEC(ZSTD(1)),
    hostname LowCardinality(String) CODEC(ZSTD(1)),
    process_id UInt64 CODEC(T64, ZSTD(1)),
    exe LowCardinality(String) CODEC(ZSTD(1)),
    user LowCardinality(String) CODEC(ZSTD(1)),
    user_id UInt64 CODEC(T64, ZSTD(1)),
    container_id LowCardinality(String) CODEC(ZSTD(1)),
    container_name LowCardinality(String) CODEC(ZSTD(1)),
    container_image LowCardinality(String) CODEC(ZSTD(1)),
    pod_name LowCardinality(String) CODEC(ZSTD(1)),
    pod_namespace LowCardinality(String) CODEC(ZSTD(1)),
    load_id UUID CODEC(ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(T64, ZSTD(1)),
    INDEX by_name name TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_load load_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(received_at)
ORDER BY (account_id, timestamp, lookup_id)
SETTINGS
    non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_compressed_bytes_to_fsync_after_merge = 1
