"""Which servers are to be looked at, and when next. Bounded."""

from __future__ import annotations

import ipaddress
import random
import re
import threading
from dataclasses import dataclass
from typing import Final, NamedTuple

from wire.events import Direction, RequestEvent

_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
    r"(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\Z"
)
"""One that can be sent as SNI."""


class Key(NamedTuple):
    ingress: bool
    name: str
    """Asked for; empty: the server has but an address."""
    ip: str
    """Of local servers; of others any address will do, and it is empty."""
    port: int


@dataclass(slots=True)
class Place:
    key: Key
    last: RequestEvent
    """The last exchange with it, without anything of its payload."""
    seen: float
    due: float

    @property
    def ip(self) -> str:
        return self.last.destination_ip


class Pace(NamedTuple):
    """How much is done at most. Seconds."""

    most: int = 200
    """Places followed; further ones are left out and counted."""
    most_names: int = 8
    """Of one local server: the names are what clients say, and they may say anything."""
    first: tuple[float, float] = (60.0, 600.0)
    """From when a place is seen first to its first check."""
    every: float = 86_400.0
    spread: float = 0.1
    """Part of ``every`` by which checks come earlier, so that nodes do not go in step."""
    gap: float = 5.0
    """Between two checks."""
    timeout: float = 5.0
    """Of one check, whatever the server does."""
    forgotten: float = 3 * 86_400.0
    """Nobody talked to it for so long: it is not looked at any more."""


class Places:
    """``saw`` on the capture thread, the rest on the one that checks."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._lock = threading.Lock()
        self._known: dict[Key, Place] = {}
        self._names: dict[tuple[str, int], int] = {}

    def saw(self, event: RequestEvent, now: float) -> bool:
        """``False``: there is no room for it."""
        key = _key(event)
        place = self._known.get(key)
        if place is not None:
            place.last, place.seen = event, now
            return True
        if not _is_address(event.destination_ip) or not event.destination_port:
            return True
        with self._lock:
            return self._add(key, event, now)

    def due(self, now: float) -> Place | None:
        """The one that waits longest; it is due again in a day."""
        with self._lock:
            for place in [p for p in self._known.values() if now - p.seen > self._pace.forgotten]:
                self._forget(place.key)
            waiting = [place for place in self._known.values() if place.due <= now]
            if not waiting:
                return None
            place = min(waiting, key=lambda one: one.due)
            # Not for secrets: so that a thousand nodes do not ask in the same second.
            early = random.random() * self._pace.spread  # noqa: S311
            place.due = now + self._pace.every * (1 - early)
            return place

    def clear(self) -> None:
        with self._lock:
            self._known.clear()
            self._names.clear()

    def __len__(self) -> int:
        return len(self._known)

    def _add(self, key: Key, event: RequestEvent, now: float) -> bool:
        server = (key.ip, key.port)
        if len(self._known) >= self._pace.most:
            return False
        if key.ingress and self._names.get(server, 0) >= self._pace.most_names:
            return False
        if key.ingress:
            self._names[server] = self._names.get(server, 0) + 1
        wait = random.uniform(*self._pace.first)  # noqa: S311  as above
        self._known[key] = Place(key, event, now, now + wait)
        return True

    def _forget(self, key: Key) -> None:
        del self._known[key]
        server = (key.ip, key.port)
        if key.ingress:
            self._names[server] -= 1
            if not self._names[server]:
                del self._names[server]


def _key(event: RequestEvent) -> Key:
    ingress = event.direction is Direction.INGRESS
    name = event.host if _NAME.match(event.host) and not _is_address(event.host) else ""
    # Without a name the address is all there is to tell servers apart.
    ip = event.destination_ip if ingress or not name else ""
    return Key(ingress, name, ip, event.destination_port)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
