-- Paths are ranked by their templates, out of rollups: a number for each path is not needed any
-- more. What single requests alone show is compressed harder.
ALTER TABLE requests
    DROP COLUMN IF EXISTS path_hash,
    MODIFY COLUMN path String CODEC(ZSTD(1)),
    MODIFY COLUMN bytes_sent UInt64 CODEC(T64, ZSTD(1)),
    MODIFY COLUMN bytes_received UInt64 CODEC(T64, ZSTD(1)),
    MODIFY COLUMN timestamp DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN request_id UUID CODEC(ZSTD(1)),
    MODIFY COLUMN connection_id UUID CODEC(ZSTD(1)),
    MODIFY COLUMN source_port UInt16 CODEC(LZ4)
