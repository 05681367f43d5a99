"""Reads of issues."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import Case, Q, Value, When

from pulse.store.client import Store
from pulse.store.endpoints import Endpoint
from pulse.store.reports import Report, latest_reports
from pulse.tables.issues import (
    Issue,
    IssueActivity,
    IssueHour,
    IssueKind,
    IssueSeverity,
    IssueState,
)
from qcloud.kernel.clock import now
from qcloud.kernel.scope import Scope, scoped

SORTS: Final = (
    "last_seen", "first_seen", "count", "state", "kind", "host", "assignee", "severity",
)  # fmt: skip
_WEIGHT: Final = Case(
    *(When(severity=severity, then=Value(i)) for i, severity in enumerate(IssueSeverity)),
    default=Value(len(IssueSeverity)),
)
"""Severities by how much they weigh, not by their names."""
TREND_HOURS: Final = 48


@dataclass(frozen=True, slots=True)
class IssueInfo:
    id: UUID
    kind: str
    environment_id: UUID
    host: str
    route: str
    """Empty: the whole host; without a host the whole environment."""
    status: int
    cause: str
    state: str
    ignored_until: datetime | None
    assignee_id: UUID | None
    assignee: str
    first_seen: datetime
    last_seen: datetime
    opened_at: datetime
    resolved_at: datetime | None
    regressions: int
    count: int
    rule: str
    """Of the agent's configuration; empty: found by the platform."""
    severity: str = "warning"

    @property
    def title(self) -> str:
        place = f"{self.host}{self.route}" or ("" if self.kind == "overflow" else "many hosts")
        words = {
            "errors": "Requests fail on",
            "latency": "Slow answers from",
            "reported": f"“{self.rule}” on",
            "new_status": f"New status {self.status} on",
            "certificate": "Certificate expires of",
            "overflow": "More than can be listed",
        }
        return f"{words[self.kind]} {place}".strip()


@dataclass(frozen=True, slots=True)
class ActivityInfo:
    at: datetime
    who: str
    what: str
    text: str


@dataclass(frozen=True, slots=True)
class IssueFilter:
    text: str = ""
    state: str = ""
    """``open``, ``regressed`` (open, came back), ``resolved`` or ``ignored``."""
    kind: str = ""
    severity: str = ""
    environment_ids: tuple[UUID, ...] = ()
    assignee_id: UUID | None = None
    unassigned: bool = False
    """Only what nobody looks after."""


def issues(
    scope: Scope,
    chosen: IssueFilter,
    *,
    sort: str = "last_seen",
    descending: bool = True,
    offset: int = 0,
    limit: int = 50,
) -> tuple[list[IssueInfo], int]:
    """A stretch of the list, and how many there are in all. ``sort`` is one of ``SORTS``."""
    way = "-" if descending else ""
    key = sort if sort in SORTS else "last_seen"
    with scoped(scope):
        rows = _narrowed(Issue.objects.all(), chosen)
        if key == "severity":
            key, rows = "weight", rows.annotate(weight=_WEIGHT)
        page = rows.order_by(f"{way}{key}", f"{way}id")[offset : offset + limit]
        return [info(row) for row in page], rows.count()


def issue(scope: Scope, issue_id: UUID) -> IssueInfo | None:
    with scoped(scope):
        row = Issue.objects.filter(id=issue_id).first()
        return info(row) if row else None


def activity(scope: Scope, issue_id: UUID) -> list[ActivityInfo]:
    """The latest 200 things that were done to it, the newest first."""
    with scoped(scope):
        rows = IssueActivity.objects.filter(issue_id=issue_id)[:200]
        return [ActivityInfo(r.at, r.who, r.what, r.text) for r in rows]


def reports(scope: Scope, found: IssueInfo, *, store: Store | None = None) -> list[Report]:
    """The newest requests that the issue's rule reported; empty for what the platform found.

    Raises ``StoreUnavailable``.
    """
    if found.kind != IssueKind.REPORTED:
        return []
    place = Endpoint(found.environment_id, found.host, found.route)
    return latest_reports(scope, place, found.rule, store=store)


def trends(scope: Scope, issue_ids: Collection[UUID]) -> dict[UUID, tuple[int, ...]]:
    """Affected requests of the last ``TREND_HOURS`` hours, the running one last."""
    last = now().replace(minute=0, second=0, microsecond=0)
    first = last - timedelta(hours=TREND_HOURS - 1)
    found = {issue_id: [0] * TREND_HOURS for issue_id in issue_ids}
    with scoped(scope):
        rows = IssueHour.objects.filter(issue_id__in=found, hour__gte=first, hour__lte=last)
        for issue_id, hour, count in rows.values_list("issue_id", "hour", "count"):
            found[issue_id][int((hour - first) / timedelta(hours=1))] = count
    return {issue_id: tuple(values) for issue_id, values in found.items()}


def opened_between(
    scope: Scope, since: datetime, until: datetime, environment_ids: Collection[UUID] = ()
) -> list[tuple[datetime, str]]:
    """When issues were found or came back in ``[since, until)``: moment and ``found`` or
    ``regressed``.
    """
    with scoped(scope):
        rows = IssueActivity.objects.filter(
            at__gte=since, at__lt=until, what__in=("found", "regressed")
        )
        if environment_ids:
            rows = rows.filter(environment_id__in=environment_ids)
        return list(rows.order_by("at").values_list("at", "what"))


def _narrowed(rows: Any, chosen: IssueFilter) -> Any:
    if chosen.state == "regressed":
        rows = rows.filter(state=IssueState.OPEN, regressions__gt=0)
    elif chosen.state:
        rows = rows.filter(state=chosen.state)
    if chosen.text:
        words = chosen.text
        rows = rows.filter(
            Q(host__icontains=words)
            | Q(route__icontains=words)
            | Q(cause__icontains=words)
            | Q(rule__icontains=words)
        )
    if chosen.unassigned:
        rows = rows.filter(assignee_id=None)
    plain = {
        "kind": chosen.kind,
        "severity": chosen.severity,
        "environment_id__in": chosen.environment_ids,
        "assignee_id": chosen.assignee_id,
    }
    return rows.filter(**{name: value for name, value in plain.items() if value})


_FIELDS: Final = tuple(field.name for field in fields(IssueInfo))


def info(row: Issue) -> IssueInfo:
    return IssueInfo(*(getattr(row, name) for name in _FIELDS))
