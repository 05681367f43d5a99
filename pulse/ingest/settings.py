"""Settings of the ingest process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pulse.spool.writer import DEFAULT_LIMIT
from qcloud.kernel.env import Env


@dataclass(frozen=True)
class IngestSettings:
    spool: Path
    spool_limit: int = DEFAULT_LIMIT
    """Bytes that may wait for the loader; above it agents are told to come back."""
    body_seconds: float = 60.0
    """For the whole body of a batch to arrive."""
    bodies_at_once: int = 64
    """Bodies in memory while they arrive; more wait."""
    bodies_an_account: int = 8
    """Of these, for the agents of one account: one that sends slowly delays no other."""
    batches_at_once: int = 2
    """Batches decompressed and parsed at the same time."""
    account_bytes: int = 0
    """Bytes a second, as sent, that the agents of one account may send to this process; a burst
    of ten seconds' worth passes at once. 0: no limit."""
    database_threads: int = 4
    """Threads, each with a connection, for tokens and the fleet's calls."""

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Raises ``SettingError``."""
        return cls(
            spool=env.path("QCLOUD_SPOOL_PATH"),
            spool_limit=env.integer(
                "QCLOUD_SPOOL_LIMIT_BYTES", DEFAULT_LIMIT, low=64 * 1024**2, high=1024**5
            ),
            account_bytes=env.integer(
                "QCLOUD_INGEST_ACCOUNT_BYTES_PER_SECOND", 0, low=0, high=1024**4
            ),
        )
