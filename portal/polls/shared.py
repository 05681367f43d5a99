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

from identity.selectors import AccountInfo
from portal.here import Here
from qcloud.kernel.permissions import Actor, Permission
from qcloud.kernel.scope import Scope

TICK: Final = 5.0
"""Seconds that a part is shown for: pages ask as often."""
MOST: Final = 256
"""Parts kept. Addresses are chosen by clients, so that there is no end of them."""
NONCE: Final = f"nonce-of-this-answer-{secrets.token_hex(16)}"
"""Stands in a part where the answer's own nonce belongs. Nobody outside can name it: what
somebody smuggled into a page would be given a nonce that holds.
"""


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
    suspended: bool
    closing: bool
    path: str
    query: str
    """As it stands in the address."""

    @classmethod
    def of(cls, request: HttpRequest, here: Here) -> Seen:
        actor = here.actor
        return cls(
            portal=here.portal,
            account=here.account,
            scope=here.scope,
            permissions=actor.permissions,
            suspended=actor.suspended,
            closing=actor.closing,
            path=request.path,
            query=request.META.get("QUERY_STRING", ""),
        )

    def request(self) -> HttpRequest:
        """The address alone."""
        bare = HttpRequest()
        bare.method, bare.path, bare.path_info = "GET", self.path, self.path
        bare.GET = QueryDict(self.query)
        bare.META["QUERY_STRING"] = self.query
        return bare

    def here(self) -> Here:
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
    """At most ``most`` parts, the least used forgotten; each made by one thread at a time."""

    def __init__(self, tick: float = TICK, most: int = MOST) -> None:
        self._tick, self._most = tick, most
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

    def value(self, seen: Seen, make: Callable[[], str]) -> bytes:
        """The part, made now unless it is there. What ``make`` raises goes to its caller alone."""
        known = self.fresh(seen)
        if known is not None:
            return known
        part = self._part(seen)
        with part.lock:
            begun = time.monotonic()
            if begun - part.made_at >= self._tick:
                part.text = make().encode()
                part.made_at = begun
                self.made += 1
            return part.text

    def _part(self, seen: Seen) -> _Part:
        with self._lock:
            part = self._parts.setdefault(seen, _Part())
            self._parts.move_to_end(seen)
            while len(self._parts) > self._most:
                self._parts.popitem(last=False)
            return part


parts: Final = Parts()
