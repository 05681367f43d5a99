"""What fires and what fired: incidents, and who looks after them."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render

from fleet.selectors import environments
from notify.selectors import DeliveryFilter, deliveries
from portal.door import action, page
from portal.here import Here
from portal.kit import alerting, formats
from portal.kit.forms import Failure, attempt
from portal.kit.offsets import by_offset
from portal.kit.tables import Cell, Choice, Column, Query, TableSpec, table
from pulse.alerts.rules import MEASURES
from pulse.alerts.selectors import (
    IncidentFilter,
    IncidentInfo,
    RuleInfo,
    incident,
    incidents,
    rule,
    rules,
)
from pulse.alerts.services import incident_acknowledge
from qcloud.kernel.clock import now
from qcloud.kernel.errors import NotFound
from qcloud.kernel.permissions import Permission

_BEFORE: Final = timedelta(hours=1)
_AFTER: Final = timedelta(minutes=10)
_LONGEST: Final = timedelta(days=7)
_STATES: Final = (("open", "Firing"), ("over", "Over"))


def _told(row: IncidentInfo) -> Cell:
    if row.silenced and not row.told:
        return Cell("silenced", tone="muted", icon="pause")
    return Cell(f"{row.told}×")


def _spec(here: Here, names: dict[UUID, str], units: dict[UUID, str]) -> TableSpec[IncidentInfo]:
    return TableSpec(
        name="incidents",
        noun="incidents",
        sort="-started_at",
        placeholder="Filter by rule",
        choices=(
            Choice("state", "State", _STATES),
            Choice("severity", "Severity", alerting.SEVERITIES),
        ),
        columns=(
            Column("rule_name", "Rule", lambda i: i.rule_name,
                   lambda i: Cell(i.rule_name, href=here.url("incident", i.id))),
            Column("state", "State", lambda i: i.state, lambda i: alerting.state(i.state),
                   sort=False),
            Column("severity", "Severity", lambda i: i.severity,
                   lambda i: alerting.severity(i.severity)),
            Column("environment", "Environment",
                   lambda i: names.get(i.environment_id, "all") if i.environment_id else "all",
                   sort=False),
            Column("started_at", "Since", lambda i: i.started_at,
                   lambda i: Cell("", time=i.started_at)),
            Column("recovered_at", "Until", lambda i: i.recovered_at,
                   lambda i: Cell(formats.NONE, time=i.recovered_at)),
            Column("worst", "Worst", lambda i: i.worst_value,
                   lambda i: Cell(alerting.number(i.worst_value, units.get(i.rule_id, ""))),
                   number=True, sort=False),
            Column("told", "Told", lambda i: i.told, _told, number=True),
            Column("acknowledged_by", "Looked after by", lambda i: i.acknowledged_by, sort=False),
        ),
    )  # fmt: skip


@page(Permission.PULSE_ALERT_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    names = {place.id: place.name for place in environments(here.scope)}

    def select(query: Query, offset: int, limit: int) -> tuple[list[IncidentInfo], int]:
        chosen = IncidentFilter(
            text=query.text,
            state=query.filters.get("state", ""),
            severity=query.filters.get("severity", ""),
        )
        return incidents(
            here.scope, chosen, sort=query.sort, descending=query.descending, offset=offset,
            limit=limit,
        )  # fmt: skip

    kept = rules(here.scope)
    units = {row.id: MEASURES[row.spec.measure].unit for row in kept}
    shown = table(request, _spec(here, names, units), by_offset(select))
    if isinstance(shown, HttpResponseBase):
        return shown
    context = {
        "table": shown,
        "tabs": alerting.tabs(here, "alerts"),
        "watching": sum(row.enabled for row in kept),
        "may_write": here.may_write(Permission.PULSE_ALERT_WRITE),
    }
    return render(request, "pages/alerts.html", context)


def _of_incident(here: Here, incident_id: UUID) -> DeliveryFilter:
    """What was told of it; to whom, for those alone who may send again."""
    masked = not here.may(Permission.NOTIFY_DELIVERY_WRITE)
    return DeliveryFilter(key_prefix=f"alert:{incident_id.hex}:", masked=masked)


@page(Permission.PULSE_ALERT_READ)
def detail(request: HttpRequest, here: Here, incident_id: UUID) -> HttpResponseBase:
    return _detail(request, here, incident_id, None)


@action(Permission.PULSE_ALERT_WRITE)
def acknowledge(request: HttpRequest, here: Here, incident_id: UUID) -> HttpResponseBase:
    outcome = attempt(
        request,
        here.scope,
        "acknowledge",
        lambda: incident_acknowledge(actor=here.actor, incident_id=incident_id),
    )
    if isinstance(outcome, Failure):
        return _detail(request, here, incident_id, outcome)
    messages.success(request, "You look after it: no repeats and no escalation any more.")
    return HttpResponseRedirect(here.url("incident", incident_id))


def _traffic_href(here: Here, found: IncidentInfo, made_by: RuleInfo | None) -> str:
    """What the rule watched, from an hour before; empty where that is no traffic."""
    if made_by is None or MEASURES[made_by.spec.measure].source != "traffic":
        return ""
    slugs = {place.id: place.slug for place in environments(here.scope)}
    facets = {f"f.{alerting.FACETS[name]}": value for name, value in made_by.spec.filters.items()}
    asked = {
        "from": formats.iso(max(found.started_at, now() - _LONGEST) - _BEFORE),
        "to": formats.iso(found.recovered_at + _AFTER) if found.recovered_at else "",
        "f.env": slugs.get(found.environment_id, "") if found.environment_id else "",
        **facets,
    }
    query = urlencode({name: value for name, value in asked.items() if value})
    return f"{here.url('live')}?{query}"


def _detail(
    request: HttpRequest, here: Here, incident_id: UUID, failed: Failure | None
) -> HttpResponseBase:
    found = incident(here.scope, incident_id)
    if found is None:
        raise NotFound("There is no such incident in this account.")
    made_by = rule(here.scope, found.rule_id)
    unit = MEASURES[made_by.spec.measure].unit if made_by else ""
    may_see = here.may(Permission.NOTIFY_DELIVERY_READ)
    told = deliveries(here.scope, _of_incident(here, found.id))[0]
    context = {
        "incident": found,
        "rule": made_by,
        "state": alerting.state(found.state),
        "severity": alerting.severity(found.severity),
        "first": alerting.number(found.first_value, unit),
        "worst": alerting.number(found.worst_value, unit),
        "told": told if may_see else [],
        "traffic_href": _traffic_href(here, found, made_by),
        "crumbs": [("Alerts", here.url("alerts"))],
        "failed": failed,
        "may_write": here.may_write(Permission.PULSE_ALERT_WRITE),
    }
    return render(request, "pages/incident.html", context, status=failed.status if failed else 200)
