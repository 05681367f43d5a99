"""Times in which nobody is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone

from fleet.selectors import environments
from portal.door import action, page
from portal.here import Here
from portal.kit import alerting, formats
from portal.kit.forms import Done, Failure, attempt
from portal.kit.tables import Cell, Choice, Column, TableSpec, fetch_from, table
from pulse.alerts.selectors import SilenceInfo, rules, silences
from pulse.alerts.services import silence_create, silence_end
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Invalid
from qcloud.kernel.permissions import Permission

_STATES: Final = (("active", "Active"), ("planned", "Planned"), ("over", "Over"))


def _spec(here: Here, names: dict[UUID | None, str]) -> TableSpec[SilenceInfo]:
    may = here.may_write(Permission.PULSE_ALERT_WRITE)
    return TableSpec(
        name="silences",
        noun="silences",
        sort="-until",
        choices=(Choice("state", "State", _STATES),),
        columns=(
            Column("reason", "Reason", lambda s: s.reason),
            Column("state", "State", lambda s: s.state, lambda s: alerting.state(s.state)),
            Column("matches", "Matches", lambda s: _matches(s, names)),
            Column("since", "From", lambda s: s.starts_at, lambda s: Cell("", time=s.starts_at)),
            Column("until", "Until", lambda s: s.ends_at, lambda s: Cell("", time=s.ends_at)),
            Column("by", "By", lambda s: s.created_by),
            Column("end", "End now", lambda _s: "", lambda s: _end(s) if may else Cell(""),
                   sort=False, exported=False),
        ),
    )  # fmt: skip


def _end(row: SilenceInfo) -> Cell:
    over = row.state == "over"
    return Cell(formats.NONE) if over else Cell("End silence", form=f"end-{row.id}", tone="danger")


def _matches(row: SilenceInfo, names: dict[UUID | None, str]) -> str:
    parts = [names.get(i, "a removed one") for i in (row.rule_id, row.environment_id) if i]
    parts += [row.severity] if row.severity else []
    return ", ".join(parts) or "every rule"


@page(Permission.PULSE_ALERT_READ, post=Permission.PULSE_ALERT_WRITE)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    """The account's silences; POST makes one."""
    failed: Failure | None = None
    if request.method == "POST":
        outcome = attempt(request, here.scope, "silence", lambda: _create(request, here))
        if isinstance(outcome, Done):
            messages.success(request, "Silent: what matches is noted and nobody is told.")
            return HttpResponseRedirect(here.url("alert-silences"))
        failed = outcome
    return _list(request, here, failed)


@action(Permission.PULSE_ALERT_WRITE)
def end(request: HttpRequest, here: Here, silence_id: UUID) -> HttpResponseBase:
    outcome = attempt(
        request,
        here.scope,
        f"end-{silence_id}",
        lambda: silence_end(actor=here.actor, silence_id=silence_id),
    )
    if isinstance(outcome, Failure):
        return _list(request, here, outcome)
    messages.success(request, "The silence is over. What still fires is told.")
    return HttpResponseRedirect(here.url("alert-silences"))


def _list(request: HttpRequest, here: Here, failed: Failure | None) -> HttpResponseBase:
    places, kept = environments(here.scope), rules(here.scope)
    names: dict[UUID | None, str] = {place.id: place.name for place in places}
    names |= {row.id: row.name for row in kept}
    spec = _spec(here, names)
    rows = silences(here.scope)
    shown = table(request, spec, fetch_from(rows, spec, state=lambda s, value: s.state == value))
    if isinstance(shown, HttpResponseBase):
        return shown
    start = timezone.localtime(now())
    every = () if here.scope.environments is not None else (("", "all environments"),)
    context: dict[str, Any] = {
        "table": shown,
        "tabs": alerting.tabs(here, "alert-silences"),
        "open": [row for row in rows if row.state != "over"],
        "rules": [("", "every rule"), *((str(r.id), r.name) for r in kept)],
        "chosen": request.GET.get("rule", ""),
        "severities": (("", "every severity"), *alerting.SEVERITIES),
        "environments": [*every, *((str(p.id), p.name) for p in places)],
        "start": f"{start:%Y-%m-%dT%H:%M}",
        "end": f"{start + timedelta(hours=1):%Y-%m-%dT%H:%M}",
        "zone": timezone.get_current_timezone_name(),
        "failed": failed,
        "may_write": here.may_write(Permission.PULSE_ALERT_WRITE),
    }
    return render(request, "pages/silences.html", context, status=failed.status if failed else 200)


def _create(request: HttpRequest, here: Here) -> SilenceInfo:
    return silence_create(
        actor=here.actor,
        reason=request.POST.get("reason", ""),
        starts_at=_moment(request, "starts_at"),
        ends_at=_moment(request, "ends_at"),
        rule_id=_id(request, "rule"),
        severity=request.POST.get("severity", ""),
        environment_id=_id(request, "environment"),
    )


def _moment(request: HttpRequest, name: str) -> datetime:
    """As a browser's field sends it: the reader's own time. Raises ``Invalid``."""
    try:
        moment = datetime.fromisoformat(request.POST.get(name, ""))
        zoned = moment if moment.tzinfo else timezone.make_aware(moment)
        return zoned.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid("When?", fields={name: "A day and a time."}) from None


def _id(request: HttpRequest, name: str) -> UUID | None:
    text = request.POST.get(name, "")
    try:
        return UUID(text) if text else None
    except ValueError:
        raise Invalid("Choose from the list.", fields={name: "Choose from the list."}) from None
