"""What broke, since when, and who looks after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render

from fleet.selectors import EnvironmentInfo, environments
from identity.selectors import staff
from portal.door import action, page
from portal.here import Here
from portal.kit import alerting, formats
from portal.kit.charts import Chart, Series
from portal.kit.forms import Failure, attempt, failure
from portal.kit.offsets import by_offset
from portal.kit.tables import Cell, Choice, Column, Query, TableSpec, table
from pulse.issues.selectors import (
    IssueFilter,
    IssueInfo,
    activity,
    issue,
    issues,
    reports,
    trends,
)
from pulse.issues.services import (
    issue_assign,
    issue_ignore,
    issue_note,
    issue_reopen,
    issue_resolve,
)
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Invalid, NotFound
from qcloud.kernel.permissions import Permission

STATES: Final = (
    ("open", "Open"), ("regressed", "Came back"), ("resolved", "Resolved"), ("ignored", "Ignored"),
)  # fmt: skip
KINDS: Final = (
    ("errors", "Errors"), ("latency", "Latency"), ("new_status", "New status"),
    ("reported", "Reported by a rule"), ("certificate", "Certificate expires"),
    ("overflow", "Too many to list"),
)  # fmt: skip
IGNORE: Final = (
    ("1", "For an hour"), ("24", "For a day"), ("168", "For a week"), ("720", "For 30 days"),
    ("0", "Until somebody opens it again"),
)  # fmt: skip
WHO: Final = (("me", "Me"), ("nobody", "Nobody"))
CHANGES: Final = (
    ("resolve", "Resolve"), ("ignore", "Ignore"), ("reopen", "Open again"), ("assign", "Give to"),
)  # fmt: skip
MOST_AT_ONCE: Final = 100
_SO_ALREADY: Final = 409
_TONES: Final = {"open": "danger", "resolved": "ok", "ignored": "muted"}


def _state(row: IssueInfo) -> Cell:
    words = "Came back" if row.state == "open" and row.regressions else dict(STATES)[row.state]
    return Cell(words, tone=_TONES[row.state], icon="danger" if row.state == "open" else "check")


def _spec(
    here: Here, places: Sequence[EnvironmentInfo], lines: dict[UUID, tuple[int, ...]]
) -> TableSpec[IssueInfo]:
    names = {place.id: place.name for place in places}
    return TableSpec(
        name="issues",
        noun="issues",
        sort="-last_seen",
        placeholder="Filter by host, path or cause",
        bulk="issues-bulk" if here.may_write(Permission.PULSE_ISSUE_WRITE) else "",
        choices=(
            Choice("state", "State", STATES),
            Choice("severity", "Severity", alerting.SEVERITIES),
            Choice("kind", "Kind", KINDS),
            Choice("env", "Environment", tuple((p.slug, p.name) for p in places)),
            Choice("who", "Looked after by", WHO),
        ),
        columns=(
            Column("title", "Issue", lambda i: i.title,
                   lambda i: Cell(i.title, href=here.url("issue", i.id), sub=i.cause, clip=True,
                                  title=i.title),
                   sort=False),
            Column("state", "State", lambda i: i.state, _state),
            Column("severity", "Severity", lambda i: i.severity,
                   lambda i: alerting.severity(i.severity)),
            Column("trend", "48 hours", lambda i: sum(lines.get(i.id, ())),
                   lambda i: Cell(formats.NONE, spark=lines.get(i.id, ()),
                                  title="Affected requests by hour, 48 hours"),
                   sort=False, exported=False),
            Column("count", "Requests", lambda i: i.count,
                   lambda i: Cell(formats.count(i.count)), number=True),
            Column("environment", "Environment",
                   lambda i: names.get(i.environment_id, ""), sort=False),
            Column("assignee", "Looked after by", lambda i: i.assignee),
            Column("first_seen", "First seen", lambda i: i.first_seen,
                   lambda i: Cell("", time=i.first_seen), shown=False),
            Column("last_seen", "Last seen", lambda i: i.last_seen,
                   lambda i: Cell("", time=i.last_seen)),
            Column("kind", "Kind", lambda i: i.kind, lambda i: Cell(dict(KINDS)[i.kind]),
                   shown=False),
        ),
    )  # fmt: skip


@page(Permission.PULSE_ISSUE_READ, post=Permission.PULSE_ISSUE_WRITE)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    """The account's issues; POST with ``ids`` and ``do`` changes those that were ticked."""
    failed: Failure | None = None
    if request.method == "POST":
        outcome = _bulk(request, here)
        if not isinstance(outcome, Failure):
            messages.success(request, outcome)
            return HttpResponseRedirect(request.get_full_path())
        failed = outcome
    places = environments(here.scope)
    slugs = {place.slug: place.id for place in places}
    lines: dict[UUID, tuple[int, ...]] = {}

    def select(query: Query, offset: int, limit: int) -> tuple[list[IssueInfo], int]:
        place = slugs.get(query.filters.get("env", ""))
        chosen = IssueFilter(
            text=query.text,
            state=query.filters.get("state", ""),
            kind=query.filters.get("kind", ""),
            severity=query.filters.get("severity", ""),
            environment_ids=(place,) if place else (),
            assignee_id=here.actor.id if query.filters.get("who") == "me" else None,
            unassigned=query.filters.get("who") == "nobody",
        )
        rows, total = issues(
            here.scope, chosen, sort=query.sort, descending=query.descending, offset=offset,
            limit=limit,
        )  # fmt: skip
        if not query.export:
            lines.update(trends(here.scope, [row.id for row in rows]))
        return rows, total

    shown = table(request, _spec(here, places, lines), by_offset(select))
    if isinstance(shown, HttpResponseBase):
        return shown
    context = {
        "table": shown,
        "failed": failed,
        "may_write": here.may_write(Permission.PULSE_ISSUE_WRITE),
        "changes": CHANGES,
        "ignore": IGNORE,
        "people": _people(here),
        "here_href": request.get_full_path(),
    }
    return render(request, "pages/issues.html", context, status=failed.status if failed else 200)


def _bulk(request: HttpRequest, here: Here) -> str | Failure:
    """What became of it, in words. What was so already stays, and is counted."""
    ids = [UUID(text) for text in request.POST.getlist("ids")[:MOST_AT_ONCE] if _is_id(text)]
    if not ids or request.POST.get("do") not in dict(CHANGES):
        wrong = Invalid("Tick at least one issue, and choose what is to be done with it.")
        return failure(request, "bulk", wrong)
    stayed = 0
    for issue_id in ids:
        change_it = partial(_changed, request, here, issue_id)
        outcome = attempt(request, here.scope, "bulk", change_it)
        if isinstance(outcome, Failure):
            if outcome.status != _SO_ALREADY:
                return outcome
            stayed += 1
    words = f"{len(ids) - stayed} changed."
    return f"{words} {stayed} were so already." if stayed else words


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _people(here: Here) -> list[tuple[str, str]]:
    found = staff(here.scope) if here.may_write(Permission.PULSE_ISSUE_WRITE) else []
    return [("", "nobody"), *((str(p.user_id), p.email) for p in found)]


@page(Permission.PULSE_ISSUE_READ)
def detail(request: HttpRequest, here: Here, issue_id: UUID) -> HttpResponseBase:
    return _detail(request, here, issue_id, None)


@action(Permission.PULSE_ISSUE_WRITE)
def change(request: HttpRequest, here: Here, issue_id: UUID) -> HttpResponseBase:
    """POST with ``do``: assign, resolve, reopen or ignore."""
    outcome = attempt(request, here.scope, "change", lambda: _changed(request, here, issue_id))
    if isinstance(outcome, Failure):
        return _detail(request, here, issue_id, outcome)
    messages.success(request, "The issue was changed; its activity says how.")
    return HttpResponseRedirect(here.url("issue", issue_id))


def _changed(request: HttpRequest, here: Here, issue_id: UUID) -> Any:
    changes: dict[str, Callable[[], Any]] = {
        "resolve": lambda: issue_resolve(actor=here.actor, issue_id=issue_id),
        "reopen": lambda: issue_reopen(actor=here.actor, issue_id=issue_id),
        "ignore": lambda: issue_ignore(actor=here.actor, issue_id=issue_id, until=_until(request)),
        "assign": lambda: issue_assign(
            actor=here.actor, issue_id=issue_id, user_id=_person(request)
        ),
        "note": lambda: issue_note(
            actor=here.actor, issue_id=issue_id, text=request.POST.get("text", "")
        ),
    }
    wanted = changes.get(request.POST.get("do", ""))
    if wanted is None:
        raise Invalid("Choose what is to be done with the issue.")
    return wanted()


def _until(request: HttpRequest) -> datetime | None:
    hours = request.POST.get("hours", "")
    if hours not in dict(IGNORE):
        raise Invalid("Choose for how long.", fields={"hours": "Choose one of the list."})
    return now() + timedelta(hours=int(hours)) if int(hours) else None


def _person(request: HttpRequest) -> UUID | None:
    text = request.POST.get("user_id", "")
    try:
        return UUID(text) if text else None
    except ValueError:
        raise Invalid("Choose somebody.", fields={"user_id": "Choose from the list."}) from None


def _detail(
    request: HttpRequest, here: Here, issue_id: UUID, failed: Failure | None
) -> HttpResponseBase:
    found = issue(here.scope, issue_id)
    if found is None:
        raise NotFound("There is no such issue in this account.")
    names = {place.id: place for place in environments(here.scope)}
    place = names.get(found.environment_id)
    context = {
        "issue": found,
        "state": _state(found),
        "kind": dict(KINDS)[found.kind],
        "environment": place,
        "trend": _trend(trends(here.scope, [found.id])[found.id]),
        "activity": activity(here.scope, found.id),
        "reports": reports(here.scope, found),
        "samples": _samples(here, found, place.slug if place else ""),
        "live": _live(here, found, place.slug if place else ""),
        "people": _people(here),
        "ignore": IGNORE,
        "assignee": str(found.assignee_id or ""),
        "crumbs": [("Issues", here.url("issues"))],
        "failed": failed,
        "may_write": here.may_write(Permission.PULSE_ISSUE_WRITE),
    }
    return render(request, "pages/issue.html", context, status=failed.status if failed else 200)


def _trend(counts: tuple[int, ...]) -> Chart:
    moment = now()
    last = moment.replace(minute=0, second=0, microsecond=0)
    hours = [last - timedelta(hours=i) for i in reversed(range(len(counts)))]
    return Chart(
        id="chart-issue",
        title="Affected requests by hour",
        sentence=f"{formats.count(sum(counts))} affected requests in 48 hours.",
        unit="",
        times=tuple(hours),
        series=(Series("Affected requests", "status-5xx", tuple(map(float, counts))),),
        step=3_600,
        stacked=True,
        brush=False,
        now=int(moment.timestamp()),
    )


def _samples(here: Here, found: IssueInfo, slug: str) -> str:
    """The requests that it is about: a link with time, place and filter."""
    if found.kind == "overflow":
        return ""
    since = found.last_seen - timedelta(hours=1)
    asked = {"from": _moment(since), "to": _moment(found.last_seen)}
    status = {"errors": "5xx", "new_status": str(found.status)}.get(found.kind)
    sort = "-duration_ms" if found.kind == "latency" else ""
    more = {"f.env": slug, "f.host": found.host, "f.status": status, "f.route": found.route,
            "sort": sort}  # fmt: skip
    asked |= {name: value for name, value in more.items() if value}
    return f"{here.url('requests')}?{urlencode(asked)}"


def _live(here: Here, found: IssueInfo, slug: str) -> str:
    """The traffic around it: from an hour before it was seen in this outbreak, to its end."""
    if found.kind == "overflow":
        return ""
    since = max(found.opened_at, found.last_seen - timedelta(days=7)) - timedelta(hours=1)
    until = found.last_seen + timedelta(minutes=10)
    asked = {"from": _moment(since), "to": _moment(until)}
    more = {"f.env": slug, "f.host": found.host, "f.route": found.route}
    asked |= {name: value for name, value in more.items() if value}
    return f"{here.url('live')}?{urlencode(asked)}"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
