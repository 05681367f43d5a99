"""Who came through the door a moment ago, and need not be asked everything again.

A pass is made by a request that went through the whole door. It holds for one session, address
and network address, for about a minute, and only while ``identity.marks`` says that nothing was
written to what let the person in: that is looked up for all passes together, once a second.
"""

from __future__ import annotations

import random
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from identity.marks import Place, marks
from portal.polls.shared import Seen

LASTS: Final = (60.0, 180.0)
"""Seconds; by chance, so that those who came together do not come again together."""
CHECKED_EVERY: Final = 1.0
TOO_OLD: Final = 3.0
"""Without an answer for so long nobody is let through."""
MOST: Final = 20_000


@dataclass(frozen=True)
class Asker:
    """A request as far as it decides who is asking for what."""

    session_key: str
    """As it is stored, not as the cookie has it."""
    host: str
    ip: str
    path: str
    query: str

    @property
    def place(self) -> Place:
        return self.session_key, self.path.split("/")[2]


@dataclass(frozen=True)
class Pass:
    mark: str
    """Read before the door was passed, so that whatever was written since is seen."""
    seen: Seen
    before: bytes
    """What stands before the shared part: the viewer's own notices."""
    until: float
    """On the monotonic clock."""


def until(most: float) -> float:
    """For how long a pass made now holds: ``most`` seconds at most."""
    lasts = min(most, random.uniform(*LASTS))  # noqa: S311  spreads load, guards nothing
    return time.monotonic() + lasts


class Passes:
    """At most ``MOST``, the least used forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._checking = threading.Lock()
        self._passes: OrderedDict[Asker, Pass] = OrderedDict()
        self._checked_at = float("-inf")

    def keep(self, asker: Asker, given: Pass) -> None:
        """Let the asker through until the pass is up."""
        if given.until <= time.monotonic():
            return
        with self._lock:
            self._passes[asker] = given
            while len(self._passes) > MOST:
                self._passes.popitem(last=False)

    def find(self, asker: Asker) -> Pass | None:
        """The asker's pass, if what it stands on was looked at within the last moments."""
        with self._lock:
            if asker not in self._passes:
                return None
        self._check()
        with self._lock:
            found = self._passes.get(asker)
            if found is None:
                return None
            if found.until <= time.monotonic():
                del self._passes[asker]
                return None
            self._passes.move_to_end(asker)
        return found if time.monotonic() - self._checked_at < TOO_OLD else None

    def _check(self) -> None:
        """Take away, once a second, what does not stand any more."""
        if time.monotonic() - self._checked_at < CHECKED_EVERY:
            return
        if not self._checking.acquire(blocking=False):
            return
        try:
            begun = time.monotonic()
            with self._lock:
                known = dict(self._passes)
            standing = marks({asker.place for asker in known})
            gone = [
                asker
                for asker, one in known.items()
                if standing.get(asker.place) != one.mark or one.until <= begun
            ]
            with self._lock:
                for asker in gone:
                    if self._passes.get(asker) is known[asker]:
                        del self._passes[asker]
                self._checked_at = begun
        finally:
            self._checking.release()


passes: Final = Passes()
