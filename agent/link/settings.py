"""What linking needs to know of options and configuration; replaced as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

import msgspec

from agent.capture.source import Connection
from agent.who import NOBODY, Who
from wire.events import Direction

HTTP_BUFFER_SIZE: Final = 2 * 1024 * 1024
IDLE_SECONDS: Final = 120.0
MAX_CONNECTIONS: Final = 65_536
MEMORY_LIMIT: Final = 64 * 1024 * 1024

ALL_DIRECTIONS: Final = frozenset(Direction)


class Plan(Protocol):
    """What is kept of an exchange. It is bound to one when it begins."""

    @property
    def keep_headers(self) -> bool: ...

    @property
    def keep_bodies(self) -> bool: ...


class About(NamedTuple):
    """Of a connection, as the configuration that was in force had it described."""

    who: Who = NOBODY
    tags: dict[str, list[str]] = {}  # noqa: RUF012  a shared empty one; nobody writes to it
    payload: bool = True
    """What is said may be kept."""
    tag_lines: str = ""
    """The operator's tags as events carry them."""


UNKNOWN: Final = About()


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
    plan_for: Callable[[str, bool], Plan] | None = None
    """Host, and whether payload may be kept → plan; without it the two flags above hold."""
    describe: Callable[[Connection], About | None] | None = None
    """``None`` as its answer: the connection is to be left alone."""
