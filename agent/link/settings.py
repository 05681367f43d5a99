"""What linking needs to know of options and configuration; replaced as a whole."""

from __future__ import annotations

from typing import Final

import msgspec

from wire.events import Direction

HTTP_BUFFER_SIZE: Final = 2 * 1024 * 1024
IDLE_SECONDS: Final = 120.0
MAX_CONNECTIONS: Final = 65_536
MEMORY_LIMIT: Final = 64 * 1024 * 1024

ALL_DIRECTIONS: Final = frozenset(Direction)


class LinkSettings(msgspec.Struct, kw_only=True, frozen=True):
    keep_headers: bool = False
    """Exchanges become objects. Without an object store never."""
    keep_bodies: bool = False
    body_limit: int = HTTP_BUFFER_SIZE
    """Bytes kept of a request's body, and as many of a response's."""
    directions: frozenset[Direction] = ALL_DIRECTIONS
    ignore_loopback: bool = False
    idle_seconds: float = IDLE_SECONDS
    max_connections: int = MAX_CONNECTIONS
    replayed: bool = False
    hostname: str = ""
