"""Parts of pages that are the same for everybody who may see them: made once a tick."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from django.http import HttpRequest, QueryDict
from django.utils import timezone

from identity.selectors import AccountInfo
from portal.here import Here
from qcloud.kernel.permissions import Actor, Permission
from qcloud.kernel.scope import Scope, scoped

STALE: Final = 60.0
"""Seconds beyond its time that a part is still shown, while it or others are made."""
MAKERS: Final = 4
"""Parts made at the same time: whoever asks meanwhile is shown the one before, and the threads
that answer people do not all wait for the event store.
"""
MOST_BYTES: Final = 64 * 1024 * 1024
"""Of all parts that are kept: some thousand. Addresses are chosen by clients, so that there is no
end of them.
"""
IDLE: Final = 900.0
"""Seconds after which a part that nobody asked for is no longer kept: nothing of an account
outlives its viewers for long.
"""
NONCE: Final = f"nonce-of-this-answer-{secrets.token_hex(16)}"
"""Stands in a part where the answer's own nonce belongs. Nobody outside can name it: what
somebody smuggled into a page would be given a nonce that holds.
"""


Make = Callable[[HttpRequest, Here], str]
"""A shared part, from an address and somebody's rights."""


@dataclass(frozen=True)
class Shown:
    """What a page says of its part."""

    make: Make
    every: float
    """Seconds that a part is shown for: the page asks as often."""
    asks: frozenset[Permission]
    """The rights on which it depends what is shown."""


@dataclass(frozen=True)
class Seen:
    """All that a shared part may depend on. Equal ones see the same, and nothing else reaches
    what makes the part: no person, no cookie, no session.
    """

    shown: Shown
    portal: str
    account: AccountInfo
    scope: Scope
    """With the environments that whoever looks is limited to."""
    permissions: frozenset[Permission]
    """Of those that the part asks about, the ones that whoever looks has: roles that differ in
    nothing else see the same. A right that the part did not say it asks about, nobody has there.
    """
    suspended: bool
    closing: bool
    path: str
    query: str
    """As it stands in the address."""

    @classmethod
    def of(cls, request: HttpRequest, here: Here, shown: Shown) -> Seen:
        actor = here.actor
        return cls(
            shown=shown,
            portal=here.portal,
            account=here.account,
            scope=here.scope,
            permissions=actor.permissions & shown.asks,
            suspended=actor.suspended,
            closing=actor.closing,
            path=request.path,
            query=request.META.get("QUERY_STRING", ""),
        )

    def make(self) -> str:
        """The part, in the account's scope and time. Raises what making it raises."""
        with timezone.override(self.account.timezone), scoped(self.scope):
            return self.shown.make(self._request(), self._here())

    def _request(self) -> HttpRequest:
        """The address alone."""
        bare = HttpRequest()
        bare.method, bare.path, bare.path_info = "GET", self.path, self.path
        bare.GET = QueryDict(self.query)
        bare.META["QUERY_STRING"] = self.query
        return bare

    def _here(self) -> Here:
        """Somebody with these rights, and nobody in particular."""
        nobody = Actor(
            kind="staff",
            id=UUID(int=0),
            label="",
            scope=self.scope,
            permissions=self.permissions,
            suspended=self.suspended,
            closing=self.closing,
        )
        return Here(self.portal, self.account, nobody, self.path, UUID(int=0))


@dataclass
class _Part:
    lock: threading.Lock = field(default_factory=threading.Lock)
    text: bytes = b""
    made_at: float = float("-inf")

    def is_younger(self, seconds: float) -> bool:
        return time.monotonic() - self.made_at < seconds


class Parts:
    """At most ``most`` bytes, the least used forgotten; each made by one thread at a time, and
    ``makers`` of them at the same time.
    """

    def __init__(self, most: int = MOST_BYTES, makers: int = MAKERS) -> None:
        self._most, self._bytes = most, 0
        self._makers = threading.Semaphore(makers)
        self._lock = threading.Lock()
        self._parts: OrderedDict[Seen, _Part] = OrderedDict()
        self.made = 0
        """How many times a part was made."""

    def value(self, seen: Seen) -> bytes:
        """The part, made now unless it is there. What making it raises goes to the caller alone."""
        every = seen.shown.every
        with self._lock:
            part = self._parts.setdefault(seen, _Part())
            self._parts.move_to_end(seen)
        if part.is_younger(every):
            return part.text
        may_wait = not part.is_younger(every + STALE)
        if not part.lock.acquire(blocking=may_wait):
            return part.text
        try:
            if not part.is_younger(every) and self._makers.acquire(blocking=may_wait):
                self._make(seen, part)
        finally:
            part.lock.release()
        return part.text

    def _make(self, seen: Seen, part: _Part) -> None:
        begun = time.monotonic()
        try:
            text = seen.make().encode()
        except BaseException:
            self._forget(seen, part)
            raise
        finally:
            self._makers.release()
        self._keep(seen, part, text, begun)

    def _forget(self, seen: Seen, part: _Part) -> None:
        """Nothing is kept for an address that nothing can be made for."""
        with self._lock:
            if self._parts.get(seen) is part:
                del self._parts[seen]
                self._bytes -= len(part.text)

    def _keep(self, seen: Seen, part: _Part, text: bytes, begun: float) -> None:
        with self._lock:
            self.made += 1
            held = self._parts.get(seen)
            if held is None:
                # It was forgotten while it was made: its text before is not counted any more.
                self._parts[seen] = part
                self._bytes += len(text)
            elif held is part:
                self._bytes += len(text) - len(part.text)
            # In this order: whoever sees that it is young reads the text next.
            part.text = text
            part.made_at = begun
            self._parts.move_to_end(seen)
            while self._bytes > self._most or self._is_idle():
                _, forgotten = self._parts.popitem(last=False)
                self._bytes -= len(forgotten.text)

    def _is_idle(self) -> bool:
        """Whether nobody asked for long for what was asked for longest ago."""
        oldest = next(iter(self._parts.values()), None)
        return oldest is not None and oldest.text != b"" and not oldest.is_younger(IDLE)


parts: Final = Parts()
