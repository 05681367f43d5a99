"""One look at one account: sums from the store, findings, issues."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.core.cache import cache

from pulse.issues.certificates import close_renewed, expiring, looked_at
from pulse.issues.detectors import Finding, findings
from pulse.issues.observing import Window, count_hours, observe
from pulse.issues.reported import reported
from pulse.store.client import Store
from pulse.store.endpoints import Endpoint, endpoint_sums, seen_before, statuses, totals
from pulse.store.filters import TrafficFilter
from pulse.tables.issues import Issue, IssueKind
from qcloud.kernel.scope import Scope, scoped

WINDOW: Final = timedelta(minutes=10)
BEFORE: Final = timedelta(hours=1)
AGO: Final = (timedelta(days=1), timedelta(days=7))
LAG: Final = timedelta(seconds=30)
"""Events of the last moments are still on their way."""
STATUS_MEMORY: Final = timedelta(days=7)
STATUS_ENOUGH: Final = 100
"""Requests an endpoint must have had before a status on it counts as new."""
MOST_STATUS_CHECKS: Final = 20
"""Questions to the store in one run; the answers are remembered."""


_COUNTED_ELSEWHERE: Final = (IssueKind.OVERFLOW, IssueKind.REPORTED, IssueKind.CERTIFICATE)


def scan(scope: Scope, moment: datetime, *, store: Store | None = None) -> int:
    """Look at the window that ends at ``moment``'s full minute; issues that were touched.

    Raises ``StoreUnavailable``.
    """
    until = (moment - LAG).replace(second=0, microsecond=0)
    window = Window(until - WINDOW, until)
    told, hours = reported(scope, moment, store=store)
    shown = looked_at(scope, moment, store=store)
    found = [*_compared(scope, window, store), *told, *expiring(shown, moment)]
    if not found and not shown:
        return 0
    with scoped(scope):
        touched = observe(scope, found, window)
        closed = close_renewed(shown, moment)
        _count(scope, touched, window, store)
        by_print = {row.fingerprint: row for row in touched}
        known = {(by_print[p].id, hour): n for (p, hour), n in hours.items() if p in by_print}
        count_hours([row for row in touched if row.kind == IssueKind.REPORTED], known)
    return len(touched) + len(closed)


def _compared(scope: Scope, window: Window, store: Store | None) -> list[Finding]:
    """What the platform finds itself: this window against those before."""
    current = endpoint_sums(scope, TrafficFilter(window.since, window.until), store=store)
    if not current:
        return []
    spans = [(window.since - BEFORE, window.since)]
    spans += [(window.since - ago, window.until - ago) for ago in AGO]
    baselines = [endpoint_sums(scope, TrafficFilter(*span), store=store) for span in spans]
    return [*findings(current, baselines), *_new_statuses(scope, window, store)]


def _new_statuses(scope: Scope, window: Window, store: Store | None) -> Iterator[Finding]:
    """A status of 400 or above on an endpoint that never had it in a week of traffic."""
    now = TrafficFilter(window.since, window.until)
    past = TrafficFilter(window.since - STATUS_MEMORY, window.since)
    asked = 0
    for (endpoint, status), count in statuses(scope, now, store=store).items():
        if not endpoint.route:
            continue
        finding = Finding(
            endpoint,
            IssueKind.NEW_STATUS,
            f"Status {status} on {count:,} requests; a week of traffic had none.",
            status,
        )
        key = f"pulse.status:{scope.account_id.hex}:{finding.fingerprint}"
        if asked >= MOST_STATUS_CHECKS or cache.get(key):
            continue
        asked += 1
        requests, with_status = seen_before(scope, past, endpoint, status, store=store)
        if requests >= STATUS_ENOUGH and with_status == 0:
            yield finding
        else:
            # Not new: so the store is asked once a day and not once a minute.
            cache.set(key, 1, timeout=86_400)


def _count(scope: Scope, touched: Collection[Issue], window: Window, store: Store | None) -> None:
    """Set the counts of the hours that the window touches."""
    rows = [row for row in touched if row.kind not in _COUNTED_ELSEWHERE]
    counts: dict[tuple[UUID, datetime], int] = {}
    hour = window.since.replace(minute=0)
    while rows and hour < window.until:
        end = min(hour + BEFORE, window.until)
        for since, alike in _by_start(rows, hour, end).items():
            chosen = TrafficFilter(since, end)
            counts |= {(i, hour): n for i, n in _affected(scope, alike, chosen, store)}
        hour += BEFORE
    count_hours(rows, counts)


def _by_start(rows: Sequence[Issue], hour: datetime, end: datetime) -> dict[datetime, list[Issue]]:
    """From when a row's requests count: slow ones from when it was first slow."""
    starts: dict[datetime, list[Issue]] = {}
    for row in rows:
        since = max(hour, row.first_seen) if row.kind == IssueKind.LATENCY else hour
        if since < end:
            starts.setdefault(since, []).append(row)
    return starts


def _affected(
    scope: Scope, rows: Sequence[Issue], chosen: TrafficFilter, store: Store | None
) -> Iterator[tuple[UUID, int]]:
    plain = [row for row in rows if row.kind != IssueKind.NEW_STATUS]
    sums = totals(scope, chosen, {_place(r) for r in plain}, store=store) if plain else {}
    for row in plain:
        errors, requests = sums.get(_place(row), (0, 0))
        yield row.id, requests if row.kind == IssueKind.LATENCY else errors
    if len(plain) < len(rows):
        by_status = statuses(scope, chosen, store=store)
        for row in rows:
            if row.kind == IssueKind.NEW_STATUS:
                yield row.id, by_status.get((_place(row), row.status), 0)


def _place(row: Issue) -> Endpoint:
    return Endpoint(row.environment_id, row.host, row.route)
