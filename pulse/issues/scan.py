"""One look at one account: sums from the store, findings, issues."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from pulse.issues.certificates import close_renewed, expiring, looked_at
from pulse.issues.detectors import Finding, findings
from pulse.issues.gathering import gathered
from pulse.issues.observing import Window, count_hours, observe
from pulse.issues.reported import reported
from pulse.issues.statuses import MEMORY, new_statuses
from pulse.issues.templates import template_changes, young_since
from pulse.store.client import Store
from pulse.store.endpoints import Affected, Endpoint, affected, compared
from pulse.store.filters import TrafficFilter
from pulse.tables.issues import Issue, IssueKind
from qcloud.kernel.scope import Scope, scoped

WINDOW: Final = timedelta(minutes=10)
BEFORE: Final = timedelta(hours=1)
AGO: Final = (timedelta(days=1), timedelta(days=7))
LAG: Final = timedelta(seconds=30)
"""Events of the last moments are still on their way."""

_COUNTED_ELSEWHERE: Final = (IssueKind.OVERFLOW, IssueKind.REPORTED, IssueKind.CERTIFICATE)


def scan(
    scope: Scope, moment: datetime, *, reports: bool = True, store: Store | None = None
) -> int:
    """Look at the window that ends at ``moment``'s full minute; issues that were touched.

    ``reports``: agents' rules have reported something lately.

    Raises ``StoreUnavailable``.
    """
    until = (moment - LAG).replace(second=0, microsecond=0)
    window = Window(until - WINDOW, until)
    told, hours = reported(scope, moment, lately=reports, store=store)
    shown = looked_at(scope, moment, store=store)
    found = [*_compared(scope, window, store), *told, *expiring(shown, moment)]
    if not found and not shown:
        return 0
    with scoped(scope):
        touched = observe(scope, gathered(found, until), window)
        closed = close_renewed(shown, moment)
        _count(scope, touched, window, store)
        by_print = {row.fingerprint: row for row in touched}
        known = {(by_print[p].id, hour): n for (p, hour), n in hours.items() if p in by_print}
        count_hours([row for row in touched if row.kind == IssueKind.REPORTED], known)
    return len(touched) + len(closed)


def _compared(scope: Scope, window: Window, store: Store | None) -> list[Finding]:
    """What the platform finds itself: this window against those before."""
    spans = [(window.since, window.until), (window.since - BEFORE, window.since)]
    spans += [(window.since - ago, window.until - ago) for ago in AGO]
    current, *baselines = compared(scope, spans, store=store)
    if not current:
        return []
    changes = template_changes(scope, window.since - MEMORY)
    recent = young_since(changes, window.since - BEFORE)
    of_week = young_since(changes, window.since - MEMORY)
    return [
        *findings(current, baselines, recent),
        *new_statuses(scope, window, of_week, store=store),
    ]


def _count(scope: Scope, touched: Collection[Issue], window: Window, store: Store | None) -> None:
    """Set the counts of the hours that the window touches."""
    rows = [row for row in touched if row.kind not in _COUNTED_ELSEWHERE]
    counts: dict[tuple[UUID, datetime], int] = {}
    hour = window.since.replace(minute=0)
    while rows and hour < window.until:
        chosen = TrafficFilter(hour, min(hour + BEFORE, window.until))
        found = affected(scope, chosen, {_place(row) for row in rows}, store=store)
        counts |= {(row.id, hour): _of_row(row, found.get(_place(row))) for row in rows}
        hour += BEFORE
    count_hours(rows, counts)


def _of_row(row: Issue, sums: Affected | None) -> int:
    if sums is None:
        return 0
    if row.kind == IssueKind.NEW_STATUS:
        return sums.statuses.get(row.status, 0)
    if row.kind == IssueKind.LATENCY:
        # Slow ones count from when they were first slow, a full minute.
        first = int(row.first_seen.timestamp()) // 60
        return sum(count for minute, count in sums.minutes.items() if minute >= first)
    return sums.errors


def _place(row: Issue) -> Endpoint:
    return Endpoint(row.environment_id, row.host, row.route)
