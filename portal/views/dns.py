"""Which names do the processes ask for, and what are they told?"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from fleet.selectors import EnvironmentInfo, environments
from portal.door import page
from portal.here import Here
from portal.kit import formats
from portal.kit.inventory import names_cell, places_of
from portal.kit.ranges import TimeRange, range_picker, read_range
from portal.kit.tables import Cell, Choice, Column, TableSpec, fetch_from, table
from portal.kit.traffic import DIRECTIONS
from portal.kit.urls import with_query
from pulse.analytics import (
    MOST_NAMES,
    RESULTS,
    LookupFilter,
    LookupTotals,
    NameRow,
    lookup_totals,
    names,
)
from qcloud.kernel.permissions import Permission

_RESULTS: Final = (
    ("failed", "Any failure"),
    ("nxdomain", "No such name (NXDOMAIN)"),
    ("servfail", "Resolver failed (SERVFAIL)"),
    ("refused", "Refused"),
    ("timeout", "No answer in time"),
    ("malformed", "Unreadable answer"),
    ("ok", "Answered"),
)
_SEEN: Final = (("new", "New names"),)
_CLICKED: Final = {"name": "Name", "process": "Process"}
_NOBODY: Final = (UUID(int=0),)
"""What an unknown environment matches."""


def _spec(
    request: HttpRequest, places: list[EnvironmentInfo], by_id: dict[UUID, str]
) -> TableSpec[NameRow]:
    return TableSpec(
        name="dns",
        noun="names by process",
        sort="-lookups",
        placeholder="Name or process contains",
        row_id=lambda r: f"{r.name} {r.exe}",
        choices=(
            Choice("env", "Environment", tuple((p.slug, p.name) for p in places)),
            Choice("result", "Result", _RESULTS),
            Choice("seen", "Seen", _SEEN),
            Choice("direction", "Direction", DIRECTIONS),
        ),
        columns=(
            Column("name", "Name", lambda r: r.name, lambda r: _name(request, r)),
            Column("new", "New", lambda r: r.is_new,
                   lambda r: Cell("new" if r.is_new else formats.NONE,
                                  tone="info" if r.is_new else "")),
            Column("process", "Process", lambda r: r.exe, lambda r: _process(request, r)),
            Column("lookups", "Lookups", lambda r: r.lookups,
                   lambda r: Cell(formats.count(r.lookups)), number=True),
            Column("failed", "Failed", lambda r: r.failed,
                   lambda r: Cell(formats.count(r.failed), tone="danger" if r.failed else ""),
                   number=True),
            Column("rcodes", "Answers", lambda r: ", ".join(r.rcodes), _codes),
            Column("addresses", "Addresses", lambda r: ", ".join(r.addresses),
                   lambda r: names_cell(r.addresses)),
            Column("types", "Types", lambda r: ", ".join(r.types),
                   lambda r: Cell(", ".join(r.types))),
            Column("nxdomain", "No such name", lambda r: r.nxdomain,
                   lambda r: Cell(formats.count(r.nxdomain)), number=True, shown=False),
            Column("timeouts", "Time-outs", lambda r: r.timeouts,
                   lambda r: Cell(formats.count(r.timeouts)), number=True, shown=False),
            Column("p95_ms", "p95", lambda r: r.p95_us / 1000,
                   lambda r: Cell(formats.milliseconds(r.p95_us / 1000)), number=True),
            Column("resolvers", "Resolvers", lambda r: ", ".join(r.resolvers),
                   lambda r: names_cell(r.resolvers), shown=False),
            Column("containers", "Containers", lambda r: ", ".join(r.containers),
                   lambda r: names_cell(r.containers), shown=False),
            Column("nodes", "Nodes", lambda r: ", ".join(r.nodes),
                   lambda r: names_cell(r.nodes), shown=False),
            Column("environments", "Environments",
                   lambda r: ", ".join(places_of(r.environments, by_id)),
                   lambda r: names_cell(places_of(r.environments, by_id)), shown=False),
            Column("first_seen", "First seen", lambda r: r.first_seen,
                   lambda r: Cell("", time=r.first_seen), shown=False),
            Column("last_seen", "Last seen", lambda r: r.last_seen,
                   lambda r: Cell("", time=r.last_seen)),
        ),
    )  # fmt: skip


def _name(request: HttpRequest, row: NameRow) -> Cell:
    href = with_query(request, **{"f.name": row.name})
    return Cell(row.name, href=href, clip=True, title=row.name, replayed=row.replayed)


def _process(request: HttpRequest, row: NameRow) -> Cell:
    short = row.exe.rsplit("/", 1)[-1] or formats.NONE
    href = with_query(request, **{"f.process": row.exe}) if row.exe else ""
    return Cell(short, href=href, clip=True, title=row.exe)


def _codes(row: NameRow) -> Cell:
    """Codes, and what was no answer at all."""
    words = [*row.rcodes, *(["no answer"] if row.timeouts else [])]
    return Cell(", ".join(words) or formats.NONE, title="\n".join(words))


@page(Permission.PULSE_TRAFFIC_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    chosen = read_range(request, default="24h")
    places = environments(here.scope)
    wanted = _filter(request, chosen, places)
    rows = names(here.scope, wanted)
    spec = _spec(request, places, {place.id: place.name for place in places})
    # The event store was asked for all of it already.
    fetch = fetch_from(rows, spec, **dict.fromkeys(("env", "result", "seen", "direction"), _any))
    shown = table(request, spec, fetch)
    if isinstance(shown, HttpResponseBase):
        return shown
    totals = lookup_totals(here.scope, wanted)
    context = {
        "table": shown,
        "picker": range_picker(request, chosen),
        "totals": totals,
        "failed_note": _failed_note(totals),
        "whole_href": with_query(request, **{"from": "now-30d", "to": None}),
        "failed_href": with_query(request, **{"f.result": "failed"}),
        "new_href": with_query(request, **{"f.seen": "new"}),
        "chips": _chips(request),
        "most": MOST_NAMES if len(rows) == MOST_NAMES else 0,
        "anything": bool(rows) or _is_narrowed(wanted),
    }
    return render(request, "pages/dns.html", context)


def _failed_note(totals: LookupTotals) -> str:
    return (
        f"{formats.count(totals.nxdomain)} no such name, "
        f"{formats.count(totals.timeouts)} without an answer"
    )


def _any(_row: NameRow, _value: str) -> bool:
    return True


def _filter(request: HttpRequest, chosen: TimeRange, places: list[EnvironmentInfo]) -> LookupFilter:
    """Of this address. What no choice knows is not asked for, but for an unknown environment."""
    wanted = {
        key: request.GET.get(f"f.{key}", "").replace("\0", "")[:1024]
        for key in ("env", "result", "seen", "direction", *_CLICKED)
    }
    slugs = {slug for slug in wanted["env"].split(",") if slug}
    found = tuple(place.id for place in places if place.slug in slugs)
    return LookupFilter(
        since=chosen.since,
        until=chosen.until,
        environments=found or (_NOBODY if slugs else ()),
        name=wanted["name"].strip().lower().rstrip(".") or wanted["name"].strip(),
        process=wanted["process"],
        direction=wanted["direction"] if wanted["direction"] in dict(DIRECTIONS) else "",
        result=wanted["result"] if wanted["result"] in RESULTS else "",
        only_new=wanted["seen"] == "new",
        query=request.GET.get("q", "").replace("\0", "").strip()[:200],
    )


def _is_narrowed(wanted: LookupFilter) -> bool:
    plain = LookupFilter(since=wanted.since, until=wanted.until)
    return wanted != plain


def _chips(request: HttpRequest) -> list[tuple[str, str]]:
    return [
        (f"{label}: {value[:120]}", with_query(request, **{f"f.{key}": None}))
        for key, label in _CLICKED.items()
        if (value := request.GET.get(f"f.{key}", ""))
    ]
