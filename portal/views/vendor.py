"""One third party: how much, by whom, to which paths, and what people say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
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
from portal.kit import formats, traffic_charts
from portal.kit.forms import Failure, attempt
from portal.kit.inventory import (
    NOT_SCANNED,
    REVIEWS,
    names_cell,
    places_of,
    review_cell,
    tls_words,
)
from portal.kit.ranges import TimeRange, range_picker, read_range
from portal.kit.tables import Cell, Choice, Column, TableSpec, fetch_from, table
from portal.kit.tabs import Tab
from portal.kit.traffic import read_filter
from portal.kit.urls import with_query
from pulse.analytics import (
    CallerRow,
    Certificate,
    PathRow,
    TrafficFilter,
    VendorRow,
    callers,
    latest_certificates,
    paths,
    status_over_time,
    totals,
    vendors,
)
from pulse.inventory.selectors import VendorInfo, sightings, vendor
from pulse.inventory.services import Verdict, vendor_review, vendor_review_undo
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Invalid, NotFound
from qcloud.kernel.permissions import Permission

_SERVERS: Final = 20
"""Of a vendor, listed with their certificates; those that expire first."""


def _found(here: Here, vendor_id: UUID) -> VendorInfo:
    found = vendor(here.scope, vendor_id)
    if found is None:
        raise NotFound("There is no such third party in this account.")
    return found


def _filter(
    request: HttpRequest, found: VendorInfo, chosen: TimeRange, places: list[EnvironmentInfo]
) -> TrafficFilter:
    asked = read_filter(request, chosen, places, text=False)
    return TrafficFilter(
        since=asked.since,
        until=asked.until,
        environments=asked.environments,
        vendor=found.name,
        direction="egress-external",
    )


@page(Permission.PULSE_VENDOR_READ)
def detail(request: HttpRequest, here: Here, vendor_id: UUID) -> HttpResponseBase:
    return _detail(request, here, _found(here, vendor_id), None)


@action(Permission.PULSE_VENDOR_WRITE)
def review(request: HttpRequest, here: Here, vendor_id: UUID) -> HttpResponseBase:
    """POST with review, owner and note; or with ``undo`` alone."""
    outcome = attempt(request, here.scope, "review", _change(request, here, vendor_id))
    if isinstance(outcome, Failure):
        return _detail(request, here, _found(here, vendor_id), outcome)
    words = "The last change was taken back." if "undo" in request.POST else "The review was saved."
    messages.success(request, words)
    return HttpResponseRedirect(here.url("vendor", vendor_id))


def _change(request: HttpRequest, here: Here, vendor_id: UUID) -> Callable[[], None]:
    if "undo" in request.POST:
        return lambda: vendor_review_undo(actor=here.actor, vendor_id=vendor_id)

    def change() -> None:
        verdict = Verdict(
            request.POST.get("review", ""),
            _person(request.POST.get("owner_id", "")),
            request.POST.get("note", "").replace("\r\n", "\n"),
        )
        vendor_review(actor=here.actor, vendor_id=vendor_id, verdict=verdict)

    return change


def _person(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise Invalid("Choose somebody.", fields={"owner_id": "Choose from the list."}) from None


def _detail(
    request: HttpRequest, here: Here, found: VendorInfo, failed: Failure | None
) -> HttpResponseBase:
    chosen = read_range(request, default="30d")
    places = environments(here.scope)
    wanted = _filter(request, found, chosen, places)
    rows = vendors(here.scope, wanted)
    may_write = here.may_write(Permission.PULSE_VENDOR_WRITE) and here.scope.environments is None
    context: dict[str, Any] = {
        **_frame(request, here, found, chosen, "vendor"),
        "facts": [
            *_facts(rows[0] if rows else None, found, {p.id: p.name for p in places}),
            ("Certificates", _certificates(here, found)),
        ],
        "sightings": _sightings(here, found, {p.id: p for p in places}),
        "may_write": may_write,
        "limited": here.scope.environments is not None,
        "failed": failed,
        "reviews": REVIEWS,
        "people": _people(here, found) if may_write else [],
        "typed": failed.values if failed else {
            "review": found.review, "owner_id": str(found.owner_id or ""), "note": found.note,
        },
        **(_traffic(here, wanted) if rows else {}),
    }  # fmt: skip
    return render(request, "pages/vendor.html", context, status=failed.status if failed else 200)


def _frame(
    request: HttpRequest, here: Here, found: VendorInfo, chosen: TimeRange, current: str
) -> dict[str, Any]:
    """What its three pages share."""
    kept = {n: request.GET[n] for n in ("from", "to", "f.env") if request.GET.get(n)}
    suffix = f"?{urlencode(kept)}" if kept else ""
    asked = {"from": "now-30d", **kept, "f.vendor": found.name}
    alert = {"vendor": found.name, "direction": "egress-external"}
    return {
        "vendor": found,
        "review": review_cell(found.review),
        "picker": range_picker(request, chosen),
        "crumbs": [("Vendors", here.url("vendors") + suffix)],
        "requests_href": f"{here.url('requests')}?{urlencode(asked)}",
        "alert_href": f"{here.url('alert-rule-create')}?{urlencode(alert)}"
        if here.may_write(Permission.PULSE_ALERT_WRITE)
        else "",
        "tabs": [
            Tab(label, here.url(name, found.id) + suffix, name == current)
            for name, label in (
                ("vendor", "Overview"), ("vendor-callers", "Callers"), ("vendor-paths", "Paths"),
            )
        ],
    }  # fmt: skip


def _facts(
    row: VendorRow | None, found: VendorInfo, names: dict[UUID, str]
) -> list[tuple[str, str]]:
    facts = [
        ("First seen", formats.when(found.first_seen)),
        ("Last seen", formats.when(max(found.last_seen, row.last_seen) if row else
                                   found.last_seen)),
        ("Owner", found.owner or "nobody"),
    ]  # fmt: skip
    if row:
        facts += [
            ("Hosts", ", ".join(row.hosts)),
            ("Environments", ", ".join(places_of(row.environments, names))),
            ("Processes", ", ".join(row.processes)),
            ("Authentication", ", ".join(row.auth_types) or "none seen"),
            ("TLS", tls_words(row)),
            ("Sent", formats.size(row.bytes_sent)),
            ("Received", formats.size(row.bytes_received)),
        ]
    return [*facts, ("Personal data", NOT_SCANNED)]


def _certificates(here: Here, found: VendorInfo) -> str:
    shown = latest_certificates(here.scope, now(), vendor=found.name)
    moment = now()

    def words(one: Certificate) -> str:
        left = one.not_after - moment
        state = f"{formats.span(abs(left))} {'left' if left > timedelta() else 'over: expired'}"
        return f"{one.server} until {formats.when(one.not_after)}, {state}"

    more = [f"and {len(shown) - _SERVERS} that expire later"] if len(shown) > _SERVERS else []
    return "\n".join([*map(words, shown[:_SERVERS]), *more]) or "not looked at"


def _sightings(here: Here, found: VendorInfo, places: dict[UUID, EnvironmentInfo]) -> list[Any]:
    return [
        (places[s.environment_id].name if s.environment_id in places else str(s.environment_id), s)
        for s in sightings(here.scope, found.id)
    ]


def _people(here: Here, found: VendorInfo) -> list[tuple[str, str]]:
    people = [(str(p.user_id), p.email) for p in staff(here.scope)]
    gone = found.owner_id and str(found.owner_id) not in dict(people)
    # Somebody who left stays until another is chosen.
    left = [(str(found.owner_id), f"{found.owner} (left)")] if gone else []
    return [("", "nobody"), *left, *people]


def _traffic(here: Here, wanted: TrafficFilter) -> dict[str, Any]:
    # A vendor says the direction: the loader gives none to what is not egress-external. By the
    # vendor alone the sums stand in rollups of their own, twenty times as fast.
    alone = replace(wanted, direction="")
    sums = totals(here.scope, alone)
    over_time = status_over_time(here.scope, alone)
    share = sums.status_5xx / sums.requests if sums.requests else None
    return {
        "totals": sums,
        "error_share": share,
        "errors_note": f"{formats.count(sums.status_5xx)} of {formats.count(sums.requests)}",
        "bytes_total": sums.bytes_sent + sums.bytes_received,
        "bytes_note": f"{formats.size(sums.bytes_sent)} sent",
        "status_chart": traffic_charts.status_chart(over_time, sums),
    }


@page(Permission.PULSE_VENDOR_READ)
def callers_page(request: HttpRequest, here: Here, vendor_id: UUID) -> HttpResponseBase:
    found = _found(here, vendor_id)
    chosen = read_range(request, default="30d")
    places = environments(here.scope)
    names = {p.id: p.name for p in places}
    spec: TableSpec[CallerRow] = TableSpec(
        name="callers",
        noun="callers",
        sort="-requests",
        placeholder="Filter by process, container, node",
        row_id=lambda r: f"{r.environment_id} {r.exe} {r.container}",
        choices=(Choice("env", "Environment", tuple((p.slug, p.name) for p in places)),),
        columns=(
            Column("process", "Process", lambda r: r.exe,
                   lambda r: Cell(r.exe or formats.NONE, code=True, clip=True, title=r.exe)),
            Column("container", "Container", lambda r: r.container),
            Column("environment", "Environment", lambda r: names.get(r.environment_id, "")),
            Column("auth", "Authentication", lambda r: ", ".join(r.auth_types),
                   lambda r: Cell(", ".join(r.auth_types) or "none")),
            Column("nodes", "Nodes", lambda r: ", ".join(r.hostnames),
                   lambda r: names_cell(r.hostnames)),
            *_sums_columns(),
        ),
    )  # fmt: skip
    rows = callers(here.scope, _filter(request, found, chosen, places))
    frame = _frame(request, here, found, chosen, "vendor-callers")
    return _listed(request, frame, spec, rows)


@page(Permission.PULSE_VENDOR_READ)
def paths_page(request: HttpRequest, here: Here, vendor_id: UUID) -> HttpResponseBase:
    found = _found(here, vendor_id)
    chosen = read_range(request, default="30d")
    places = environments(here.scope)
    spec: TableSpec[PathRow] = TableSpec(
        name="paths",
        noun="paths",
        sort="-requests",
        placeholder="Filter by host, path, method",
        row_id=lambda r: f"{r.method} {r.host} {r.route}",
        choices=(Choice("env", "Environment", tuple((p.slug, p.name) for p in places)),),
        columns=(
            Column("path", "Paths like", lambda r: r.route,
                   lambda r: Cell(r.route or formats.NONE, code=True, clip=True, title=r.route)),
            Column("method", "Method", lambda r: r.method),
            Column("host", "Host", lambda r: r.host,
                   lambda r: Cell(r.host, clip=True, title=r.host)),
            *_sums_columns(),
        ),
    )  # fmt: skip
    rows = paths(here.scope, _filter(request, found, chosen, places))
    frame = _frame(request, here, found, chosen, "vendor-paths")
    return _listed(request, frame, spec, rows)


def _sums_columns() -> tuple[Column[Any], ...]:
    return (
        Column("requests", "Requests", lambda r: r.requests,
               lambda r: Cell(formats.count(r.requests)), number=True),
        Column("errors", "4xx and 5xx", lambda r: r.errors,
               lambda r: Cell(formats.count(r.errors)), number=True),
        Column("p95_ms", "p95", lambda r: r.p95_us / 1000,
               lambda r: Cell(formats.milliseconds(r.p95_us / 1000)), number=True),
        Column("sent", "Sent", lambda r: int(r.bytes_sent),
               lambda r: Cell(formats.size(r.bytes_sent)), number=True),
        Column("received", "Received", lambda r: int(r.bytes_received),
               lambda r: Cell(formats.size(r.bytes_received)), number=True, shown=False),
        Column("first_seen", "First seen", lambda r: r.first_seen,
               lambda r: Cell("", time=r.first_seen), shown=False),
        Column("last_seen", "Last seen", lambda r: r.last_seen,
               lambda r: Cell("", time=r.last_seen)),
    )  # fmt: skip


def _listed(
    request: HttpRequest, frame: dict[str, Any], spec: TableSpec[Any], rows: list[Any]
) -> HttpResponseBase:
    # The environment was asked of the event store already.
    shown = table(request, spec, fetch_from(rows, spec, env=lambda _row, _value: True))
    if isinstance(shown, HttpResponseBase):
        return shown
    context = {
        **frame,
        "table": shown,
        "whole_href": with_query(request, **{"from": "now-30d", "to": None}),
    }
    return render(request, "pages/vendor_list.html", context)
