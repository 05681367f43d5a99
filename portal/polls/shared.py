"""Parts of pages that are the same for everybody who may see them: made once a tick."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from django.http import HttpRequest, QueryDict
from django.utils import timezone

from identity.selectors import AccountInfo
from portal.here import Here
from qcloud.kernel.permissions import Actor, Permission
from qcloud.kernel.scope import Scope, scoped

TICK: Final = 5.0
"""Seconds that a part is shown for: pages ask as often."""
MOST_BYTES: Final = 64 * 1024 * 1024
"""Of all parts that are kept: some thousand. Addresses are chosen by clients, so that there is no
end of them.
"""
NONCE: Final = f"nonce-of-this-answer-{secrets.token_hex(16)}"
"""Stands in a part where the answer's own nonce belongs. Nobody outside can name it: what
somebody smuggled into a page would be given a nonce that holds.
"""


Make = Callable[[HttpRequest, Here], str]
"""A shared part, from an address and somebody's rights."""


@dataclass(frozen=True)
class Seen:
    """All that a shared part may depend on. Equal ones see the same, and nothing else reaches
    what makes the part: no person, no cookie, no session.
    """

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
    def of(cls, request: HttpRequest, here: Here, asked: Collection[Permission]) -> Seen:
        actor = here.actor
        return cls(
            portal=here.portal,
            account=here.account,
            scope=here.scope,
            permissions=actor.permissions.intersection(asked),
            suspended=actor.suspended,
            closing=actor.closing,
            path=request.path,
            query=request.META.get("QUERY_STRING", ""),
        )

    def make(self, make: Make) -> str:
        """The part, in the account's scope and time. Raises what ``make`` raises."""
        with timezone.override(self.account.timezone), scoped(self.scope):
            return make(self._request(), self._here())

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


class Parts:
    """At most ``most`` bytes, the least used forgotten; each made by one thread at a time."""

    def __init__(self, tick: float = TICK, most: int = MOST_BYTES) -> None:
        self._tick, self._most, self._bytes = tick, most, 0
        self._lock = threading.Lock()
        self._parts: OrderedDict[Seen, _Part] = OrderedDict()
        self.made = 0
        """How many times a part was made."""

    def fresh(self, seen: Seen) -> bytes | None:
        """The part of this tick; the one before it while somebody makes a new one."""
        with self._lock:
            part = self._parts.get(seen)
            if part is None:
                return None
            self._parts.move_to_end(seen)
        age = time.monotonic() - part.made_at
        if age < self._tick or (age < 3 * self._tick and part.lock.locked()):
            return part.text
        return None

    def value(self, seen: Seen, make: Make) -> bytes:
        """The part, made now unless it is there. What ``make`` raises goes to its caller alone."""
        known = self.fresh(seen)
        if known is not None:
            return known
        with self._lock:
            part = self._parts.setdefault(seen, _Part())
        with part.lock:
            begun = time.monotonic()
            if begun - part.made_at >= self._tick:
                self._keep(seen, part, seen.make(make).encode())
                part.made_at = begun
                self.made += 1
            return part.text

    def _keep(self, seen: Seen, part: _Part, text: bytes) -> None:
        with self._lock:
            if self._parts.setdefault(seen, part) is part:
                self._bytes += len(text) - len(part.text)
            part.text = text
            self._parts.move_to_end(seen)
            while self._bytes > self._most:
                _, forgotten = self._parts.popitem(last=False)
                self._bytes -= len(forgotten.text)


parts: Final = Parts()
