"""Requests to one bucket: signed, followed where it is, tried again where that may help."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Final, NamedTuple

from agent.counters import Counters
from agent.logs import get_logger
from agent.stores.base import StoreError
from agent.stores.s3.answers import (
    PASSING,
    RENEWABLE,
    STANDING,
    Answer,
    reason_of,
    refusal,
    trouble,
)
from agent.stores.s3.credentials import Credentials
from agent.stores.s3.place import redirected
from agent.stores.s3.transport import Transport
from wire.s3.place import Place
from wire.s3.signing import EMPTY_SHA256, Call, Keys, sign, target

PATIENCE_SECONDS: Final = 60.0
"""How long an object waits for a store that is away; the queue's bound comes before it."""
PAUSE_SECONDS: Final = 5.0
"""After a refusal that meets every object: not asked again for so long."""
BELIEVED_SKEW_SECONDS: Final = 50 * 366 * 24 * 3600.0
"""A node without a battery wakes up in 1970; a store is not in the year 9999."""
FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 10.0
_HOPS: Final = 3
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})

_log = get_logger()


class Wanted(NamedTuple):
    """A request as its sender knows it: neither where nor with which keys."""

    method: str
    key: str
    body: bytes = b""
    query: Mapping[str, str] = _NOTHING
    headers: Mapping[str, str] = _NOTHING
    max_bytes: int = 65_536
    """Of the answer."""


class Requests:
    """From any thread. ``place`` changes when the store says that the bucket is elsewhere."""

    def __init__(
        self,
        place: Place,
        credentials: Credentials,
        transport: Transport,
        counters: Counters,
        *,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self.place = place
        self.credentials = credentials
        self._transport = transport
        self._counters = counters
        self._patience = patience
        self._stopping = threading.Event()
        self._skew = 0.0
        self._standing: tuple[float, StoreError] | None = None

    def send(self, wanted: Wanted, *, patient: bool = True) -> Answer:
        """The answer to a request that was taken. Raises ``StoreError``."""
        if patient:
            self._known_refusal()
        deadline = time.monotonic() + (self._patience if patient else 0.0)
        delay = FIRST_DELAY
        while True:
            try:
                answer = self._once(wanted)
            except StoreError as error:
                if error.reason not in PASSING or not self._again(delay, deadline):
                    self._remember(error)
                    raise
            else:
                self._standing = None
                return answer
            delay = min(delay * 2, LONGEST_DELAY)

    def stop(self) -> None:
        """Nobody waits any longer."""
        self._stopping.set()
        self._transport.close()

    # -- one attempt ---------------------------------------------------------------

    def _once(self, wanted: Wanted) -> Answer:
        body = wanted.body
        digest = hashlib.sha256(body).hexdigest() if body else EMPTY_SHA256
        renewed = corrected = False
        for _ in range(_HOPS + 2):
            place, keys = self.place, self.credentials.keys()
            path = place.path(wanted.key)
            call = Call(wanted.method, place.host, path, wanted.query, wanted.headers, digest)
            answer = self._sent(place, call, keys, wanted)
            if answer.ok:
                return answer
            moved = redirected(place, answer)
            if moved is not None:
                self._move(place, moved)
                continue
            reason = reason_of(answer)
            if reason == "clock" and not corrected and self._correct(answer):
                corrected = True
                continue
            if reason in RENEWABLE and not renewed and self.credentials.renew(keys):
                renewed = True
                self._counters.add("s3.credentials-renewed")
                continue
            raise refusal(str(place), answer)
        raise trouble("redirect", f"{self.place} redirects again and again")

    def _sent(self, place: Place, call: Call, keys: Keys, wanted: Wanted) -> Answer:
        headers = sign(call, keys, place.region, time.time() + self._skew)
        headers["user-agent"] = "qcloud-agent"
        url = f"{place.scheme}://{place.host}{target(call.path, call.query)}"
        self._counters.add("s3.requests")
        body = wanted.body if wanted.body or call.method == "PUT" else None
        return self._transport.send(call.method, url, headers, body, max_bytes=wanted.max_bytes)

    def _move(self, place: Place, moved: Place) -> None:
        """Once for all requests; the operator is told what to write down."""
        self._counters.add("s3.redirects")
        if self.place == place:
            self.place = moved
            _log.warning(
                "the bucket is elsewhere; set this in the configuration",
                bucket=place.bucket, endpoint=moved.endpoint, region=moved.region,
            )  # fmt: skip

    def _correct(self, answer: Answer) -> bool:
        """Sign by the store's clock from now on."""
        try:
            theirs = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
        except (ValueError, OverflowError):
            return False
        if abs(theirs - time.time()) > BELIEVED_SKEW_SECONDS:
            return False
        self._skew = theirs - time.time()
        self._counters.add("s3.clock-corrected")
        _log.warning("this machine's clock is off; signing by the store's",
                     seconds=round(self._skew))  # fmt: skip
        return True

    # -- between attempts ----------------------------------------------------------

    def _again(self, delay: float, deadline: float) -> bool:
        """Wait, with jitter; ``False``: there is no time for another attempt."""
        wait = delay * random.uniform(0.5, 1.0)  # noqa: S311  spreads load, hides nothing
        if time.monotonic() + wait >= deadline:
            return False
        self._counters.add("s3.retries")
        if self._stopping.wait(wait):
            raise StoreError("shutdown", "the agent is leaving")
        return True

    def _known_refusal(self) -> None:
        standing = self._standing
        if standing is not None and time.monotonic() < standing[0]:
            raise StoreError(standing[1].reason, str(standing[1]))

    def _remember(self, error: StoreError) -> None:
        if error.reason in STANDING:
            self._standing = (time.monotonic() + PAUSE_SECONDS, error)
