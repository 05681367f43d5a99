-- Certificates that servers showed to agents. Laid out as requests are: the account first,
-- partitions by the time of arrival.
CREATE TABLE IF NOT EXISTS certificates
(
    account_id UUID CODEC(ZSTD(1)),
    environment_id UUID CODEC(ZSTD(1)),
    agent_id UUID CODEC(ZSTD(1)),
    timestamp DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    check_id UUID CODEC(ZSTD(1)),
    connection_id UUID CODEC(ZSTD(1)),
    direction Enum8('ingress' = 1, 'egress-internal' = 2, 'egress-external' = 3) CODEC(ZSTD(1)),
    replayed Bool CODEC(ZSTD(1)),
    host String CODEC(ZSTD(1)),
    vendor LowCardinality(String) CODEC(ZSTD(1)),
    destination_ip LowCardinality(String) CODEC(ZSTD(1)),
    destination_port UInt16 CODEC(ZSTD(1)),
    subject String CODEC(ZSTD(1)),
    issuer LowCardinality(String) CODEC(ZSTD(1)),
    names String CODEC(ZSTD(1)),
    serial String CODEC(ZSTD(1)),
    sha256 String CODEC(ZSTD(1)),
    not_before UInt64 CODEC(ZSTD(1)),
    not_after UInt64 CODEC(ZSTD(1)),
    verified Bool CODEC(ZSTD(1)),
    problem LowCardinality(String) CODEC(ZSTD(1)),
    tls_version LowCardinality(String) CODEC(ZSTD(1)),
    hostname LowCardinality(String) CODEC(ZSTD(1)),
    exe LowCardinality(String) CODEC(ZSTD(1)),
    container_name LowCardinality(String) CODEC(ZSTD(1)),
    pod_name LowCardinality(String) CODEC(ZSTD(1)),
    pod_namespace LowCardinality(String) CODEC(ZSTD(1)),
    clock_suspect Bool DEFAULT false CODEC(ZSTD(1)),
    reported_us Int64 DEFAULT 0 CODEC(ZSTD(1)),
    load_id UUID CODEC(ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(T64, ZSTD(1)),
    INDEX by_host host TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_load load_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(received_at)
ORDER BY (account_id, timestamp, check_id)
SETTINGS
    non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_compressed_bytes_to_fsync_after_merge = 1
