"""Findings into issues: found, counted, come back. Runs twice with the same outcome."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pulse.issues.detectors import Finding
from pulse.store.endpoints import Endpoint
from pulse.tables.issues import (
    Issue,
    IssueActivity,
    IssueHour,
    IssueKind,
    IssueSeverity,
    IssueState,
)
from qcloud.kernel.clock import now
from qcloud.kernel.scope import Scope

MOST_OPEN: Final = 500
"""Open issues of one account; what comes on top is one issue that says how much."""
MOST_NEW: Final = 50
"""Made in one run."""
PLATFORM: Final = "QCloud"
_WEIGHTS: Final = tuple(IssueSeverity.values)
ALL_PLACES: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Window:
    since: datetime
    until: datetime


def observe(scope: Scope, found: Sequence[Finding], window: Window) -> list[Issue]:
    """Write what was found in ``window``; returns the issues that were touched.

    Inside the account's scope. A resolved issue comes back when all of the window lies after
    it was resolved; an ignored one is counted and stays ignored.
    """
    by_print = {f.fingerprint: f for f in found}
    rows = {
        row.fingerprint: row
        for row in Issue.objects.select_for_update().filter(fingerprint__in=by_print)
    }
    for fingerprint, row in rows.items():
        _seen(row, by_print[fingerprint], _span(by_print[fingerprint], window))
    new = [f for fingerprint, f in by_print.items() if fingerprint not in rows]
    room = max(0, min(MOST_NEW, MOST_OPEN - _open()))
    made = [_make(scope, finding, _span(finding, window)) for finding in new[:room]]
    if len(new) > room:
        made.append(_overflow(scope, len(new) - room, window))
    return [*rows.values(), *made]


def _open() -> int:
    rows = Issue.objects.filter(state=IssueState.OPEN).exclude(kind=IssueKind.OVERFLOW)
    total: int = rows.count()
    return total


def _span(finding: Finding, window: Window) -> Window:
    """When it was last seen: what makes a resolved issue come back must lie after that."""
    return Window(finding.last, finding.last) if finding.last else window


def _seen(row: Issue, finding: Finding, window: Window) -> None:
    row.last_seen = max(row.last_seen, window.until)
    row.first_seen = min(row.first_seen, finding.first or row.first_seen)
    row.cause = _kept(finding.cause, 300)
    _weigh(row, finding)
    if row.state == IssueState.RESOLVED and _after(row.resolved_at, window):
        _reopen(row, window, "regressed", row.cause)
    if row.state == IssueState.IGNORED and row.ignored_until and row.ignored_until <= window.since:
        _reopen(row, window, "reopened", "The time that it was ignored for is over.")
    row.save()


def _weigh(row: Issue, finding: Finding) -> None:
    before, row.severity = row.severity, finding.severity
    if row.state == IssueState.OPEN and _WEIGHTS.index(before) < _WEIGHTS.index(row.severity):
        note(row, now(), PLATFORM, "worsened", row.cause)


def _after(resolved_at: datetime | None, window: Window) -> bool:
    return resolved_at is None or window.since >= resolved_at


def _reopen(row: Issue, window: Window, what: str, text: str) -> None:
    row.state, row.opened_at, row.resolved_at, row.ignored_until = (
        IssueState.OPEN, window.until, None, None,
    )  # fmt: skip
    row.regressions += what == "regressed"
    note(row, now(), PLATFORM, what, text)


def _make(scope: Scope, finding: Finding, window: Window) -> Issue:
    place = finding.endpoint
    row: Issue = Issue.objects.create(
        account_id=scope.account_id,
        fingerprint=finding.fingerprint,
        kind=finding.kind,
        environment_id=place.environment_id,
        host=_kept(place.host, 1_024),
        route=_kept(place.route, 8_192),
        status=finding.status,
        rule=_kept(finding.rule, 1_024),
        severity=finding.severity,
        cause=_kept(finding.cause, 300),
        first_seen=finding.first or window.since,
        last_seen=window.until,
        opened_at=window.until,
    )
    note(row, now(), PLATFORM, "found", row.cause)
    return row


def _kept(text: str, limit: int) -> str:
    """As PostgreSQL can keep it: agents may send any character."""
    return text.replace("\0", "\ufffd")[:limit]


def _overflow(scope: Scope, left_out: int, window: Window) -> Issue:
    """One issue for everything that there is no room for."""
    cause = (
        f"{left_out:,} more places look broken than are listed one by one."
        " Resolve or ignore what is known, or narrow the paths."
    )
    finding = Finding(Endpoint(ALL_PLACES, "", ""), IssueKind.OVERFLOW, cause)
    row = Issue.objects.select_for_update().filter(fingerprint=finding.fingerprint).first()
    if row is None:
        return _make(scope, finding, window)
    _seen(row, finding, window)
    kept: Issue = row
    return kept


def note(row: Issue, at: datetime, who: str, what: str, text: str) -> None:
    IssueActivity.objects.create(
        account_id=row.account_id,
        issue_id=row.id,
        environment_id=row.environment_id,
        at=at,
        who=who,
        what=what,
        text=text[:2_000],
    )


def count_hours(rows: Collection[Issue], hours: dict[tuple[UUID, datetime], int]) -> None:
    """Set the affected requests of each issue's hours, and each issue's sum."""
    wanted = {row.id: row for row in rows}
    values = [
        IssueHour(
            account_id=wanted[i].account_id,
            issue_id=i,
            environment_id=wanted[i].environment_id,
            hour=hour,
            count=count,
        )
        for (i, hour), count in hours.items()
        if i in wanted
    ]
    IssueHour.objects.bulk_create(
        values,
        update_conflicts=True,
        unique_fields=["account_id", "issue_id", "hour"],
        update_fields=["count"],
    )
    sums: dict[Any, int] = {}
    kept = IssueHour.objects.filter(issue_id__in=wanted)
    for issue_id, count in kept.values_list("issue_id", "count"):
        sums[issue_id] = sums.get(issue_id, 0) + count
    for issue_id, row in wanted.items():
        if row.count != sums.get(issue_id, 0):
            row.count = sums.get(issue_id, 0)
            row.save(update_fields=["count"])
