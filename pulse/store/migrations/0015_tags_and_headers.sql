-- The operator's tags and, where the agent's configuration names any, values of headers: lines of
-- one text each. Sets of tags repeat, so a filter looks at each of them once.
ALTER TABLE requests
    ADD COLUMN IF NOT EXISTS tags LowCardinality(String) CODEC(ZSTD(1)) AFTER pod_namespace,
    ADD COLUMN IF NOT EXISTS headers String CODEC(ZSTD(1)) AFTER tags
