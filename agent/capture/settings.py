"""What an operator may change about capture."""

from __future__ import annotations

from pathlib import Path

import msgspec

CHUNK_LIMIT = 16384
"""Bytes in one record at most (``CHUNK_LIMIT`` in bpf/capture.h)."""
MAX_CALL_LIMIT = 16 * CHUNK_LIMIT


class CaptureSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes are bytes, times are milliseconds."""

    netns: int = 0
    """Inode of the only network namespace to watch; 0 watches all."""
    call_limit: int = 65536
    """Bytes of one read or write that are captured; the rest only counts in ``length``.

    With bodies off 4096 is plenty: heads are shorter. At most 262,144.
    """
    tls_probes: frozenset[str] = frozenset({"openssl"})
    """Families of TLS libraries to look into."""
    plain_http: bool = True
    """Also HTTP without TLS on TCP sockets."""
    ring_bytes: int = 16 << 20
    """Ring buffer between kernel and agent; rounded up to a power of two."""
    flush_ms: int = 40
    """How long a chunk may wait in the ring buffer before the agent fetches it."""
    max_connections: int = 65536
    """HTTP connections followed at the same time; the longest unused is forgotten."""
    excluded_pids: frozenset[int] = frozenset()
    """Processes never looked at, as the host numbers them. The agent itself always is one."""
    excluded_endpoints: frozenset[tuple[str, int]] = frozenset()
    """(address, port) pairs; connections with one at either end are never looked at.

    The platform's own: the agent's uplink, and the doors of a platform on the same host.
    """
    libraries: tuple[Path, ...] = ()
    """Further files that hold OpenSSL (linked into a program, or named unusually)."""
    build_dir: Path | None = None
    """Where compiled programs are kept; ``bpf/build`` beside the sources when unset."""

    def __post_init__(self) -> None:
        if not 0 <= self.call_limit <= MAX_CALL_LIMIT:
            raise ValueError(f"call_limit is {self.call_limit}, must be 0 to {MAX_CALL_LIMIT}")
        if not 1 <= self.flush_ms <= 1000:
            raise ValueError(f"flush_ms is {self.flush_ms}, must be 1 to 1000")
        if self.ring_bytes < 4 * CHUNK_LIMIT:
            raise ValueError(f"ring_bytes is {self.ring_bytes}, must be at least {4 * CHUNK_LIMIT}")
