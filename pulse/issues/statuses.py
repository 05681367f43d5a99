"""A status of 400 or above on an endpoint that never had it in a week of traffic."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final

from django.core.cache import cache

from pulse.issues.detectors import Finding
from pulse.issues.observing import Window
from pulse.store.client import Store
from pulse.store.endpoints import Endpoint, seen_before, statuses, statuses_of_hosts
from pulse.store.filters import TrafficFilter
from pulse.tables.issues import IssueKind
from qcloud.kernel.scope import Scope

MEMORY: Final = timedelta(days=7)
ENOUGH: Final = 100
"""Requests an endpoint must have had before a status on it counts as new."""
MOST_CHECKS: Final = 500
"""Endpoints and statuses that one run asks the store for; the next run asks for the others."""
MOST_KNOWN: Final = 5_000
"""Of one account; those that were seen last."""
_DAY: Final = 86_400
_KNOWN_DAYS: Final = 6
"""What was seen in these days was seen within ``MEMORY``."""

Pair = tuple[Endpoint, int]


def new_statuses(
    scope: Scope,
    window: Window,
    young: Callable[[Endpoint], bool],
    *,
    store: Store | None = None,
) -> Iterator[Finding]:
    """``young``: the endpoint's template was learned within ``MEMORY``. What its requests were
    answered before stands under other names, so that its host must not know the status either.
    """
    current = {
        pair: count
        for pair, count in statuses(
            scope, TrafficFilter(window.since, window.until), store=store
        ).items()
        if pair[0].route
    }
    known = _Known(scope, window.until)
    asked = [pair for pair in current if pair not in known][:MOST_CHECKS]
    fresh = set(_fresh(scope, window, asked, young, store)) if asked else set()
    for endpoint, status in asked:
        if (endpoint, status) in fresh:
            count = current[endpoint, status]
            cause = f"Status {status} on {count:,} requests; a week of traffic had none."
            yield Finding(endpoint, IssueKind.NEW_STATUS, cause, status)
    known.add([pair for pair in current if pair in known or (pair in asked and pair not in fresh)])


def _fresh(
    scope: Scope,
    window: Window,
    asked: list[Pair],
    young: Callable[[Endpoint], bool],
    store: Store | None,
) -> Iterator[Pair]:
    past = TrafficFilter(window.since - MEMORY, window.since)
    before = seen_before(scope, past, {endpoint for endpoint, _ in asked}, store=store)
    candidates = [pair for pair in asked if _is_new(before[pair[0]], pair[1])]
    hosts = {endpoint.host for endpoint, _ in candidates if young(endpoint)}
    of_hosts = statuses_of_hosts(scope, past, hosts, store=store) if hosts else set()
    for endpoint, status in candidates:
        place = (endpoint.environment_id, endpoint.host, status)
        if not (young(endpoint) and place in of_hosts):
            yield endpoint, status


def _is_new(counts: Mapping[int, int], status: int) -> bool:
    return sum(counts.values()) >= ENOUGH and not counts.get(status)


class _Known:
    """Pairs that are not new, in one entry of the cache: none of them needs the store again
    while it goes on. What was forgotten costs a question more.
    """

    def __init__(self, scope: Scope, moment: datetime) -> None:
        self._key = f"pulse.statuses:{scope.account_id.hex}"
        self._today = int(moment.timestamp()) // _DAY
        kept: dict[bytes, int] = cache.get(self._key) or {}
        self._days = {name: day for name, day in kept.items() if self._today - day <= _KNOWN_DAYS}

    def __contains__(self, pair: Pair) -> bool:
        return _name(pair) in self._days

    def add(self, pairs: list[Pair]) -> None:
        """They were seen today."""
        names = [_name(pair) for pair in pairs]
        if all(self._days.get(name) == self._today for name in names):
            return
        for name in names:
            # To the end, where the latest stand.
            self._days.pop(name, None)
            self._days[name] = self._today
        kept = dict(list(self._days.items())[-MOST_KNOWN:])
        cache.set(self._key, kept, timeout=_KNOWN_DAYS * _DAY)


def _name(pair: Pair) -> bytes:
    endpoint, status = pair
    text = "\0".join((str(endpoint.environment_id), endpoint.host, endpoint.route, str(status)))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()
