"""Settings of the embedded event store."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from qcloud.kernel.env import Env

_GIB = 1024**3


@dataclass(frozen=True)
class EventStoreSettings:
    """Where the store listens, where its data lies, and what one client may take."""

    path: Path
    password: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 8602
    """0: any free port; the log line ``eventstore ready`` names it."""
    user: str = "qcloud"
    max_concurrent: int = 16
    """Statements at once; the next one waits up to ``queue_seconds``."""
    queue_seconds: float = 10.0
    max_connections: int = 256
    max_query_seconds: int = 60
    max_query_memory: int = 2 * _GIB
    """Bytes of one statement."""
    max_memory: int = 4 * _GIB
    """Bytes of all statements and merges together."""
    max_body_bytes: int = _GIB
    """Of one request as sent and as decompressed."""

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Raises ``SettingError``."""
        return cls(
            path=env.path("QCLOUD_EVENTSTORE_PATH"),
            password=env.secret("QCLOUD_EVENTSTORE_PASSWORD"),
            host=env.text("QCLOUD_EVENTSTORE_HOST", "127.0.0.1"),
            port=env.integer("QCLOUD_EVENTSTORE_PORT", 8602, low=0, high=65_535),
            user=env.text("QCLOUD_EVENTSTORE_USER", "qcloud"),
            max_query_memory=env.integer(
                "QCLOUD_EVENTSTORE_QUERY_MEMORY", 2 * _GIB, low=_GIB // 4, high=1024 * _GIB
            ),
            max_memory=env.integer(
                "QCLOUD_EVENTSTORE_MEMORY", 4 * _GIB, low=_GIB // 2, high=1024 * _GIB
            ),
        )
