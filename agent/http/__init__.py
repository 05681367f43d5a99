"""HTTP/1.1 as it is seen by somebody who listens: incremental, tolerant, bounded."""
