"""Who outside gets what: the list of third parties."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from fleet.selectors import environments
from portal.door import page
from portal.here import Here
from portal.kit import formats
from portal.kit.inventory import (
    NOT_SCANNED,
    REVIEWS,
    VendorLine,
    lines,
    names_cell,
    places_of,
    review_cell,
    tls_words,
)
from portal.kit.ranges import range_picker, read_range
from portal.kit.tables import Cell, Choice, Column, TableSpec, fetch_from, table
from portal.kit.traffic import read_filter
from portal.kit.urls import with_query
from pulse.analytics import MOST_LISTED, vendors
from pulse.inventory.selectors import known
from qcloud.kernel.permissions import Permission

_KEPT = ("from", "to", "f.env")
"""Of this page's address, what its links carry along."""


def _spec(
    request: HttpRequest, here: Here, places: tuple[tuple[str, str], ...], names: dict[UUID, str]
) -> TableSpec[VendorLine]:
    kept = {name: request.GET[name] for name in _KEPT if request.GET.get(name)}
    return TableSpec(
        name="vendors",
        noun="third parties",
        sort="-requests",
        placeholder="Filter by vendor, host, process, owner",
        row_id=lambda v: v.row.vendor,
        choices=(
            Choice("env", "Environment", places),
            Choice("review", "Review", REVIEWS),
        ),
        columns=(
            Column("vendor", "Vendor", lambda v: v.row.vendor, lambda v: _name(here, v, kept)),
            Column("review", "Review", lambda v: dict(REVIEWS)[v.review],
                   lambda v: review_cell(v.review)),
            Column("requests", "Requests", lambda v: v.row.requests,
                   lambda v: _requests(here, v, kept), number=True),
            Column("errors", "4xx and 5xx", lambda v: v.row.errors,
                   lambda v: Cell(formats.count(v.row.errors)), number=True, shown=False),
            Column("sent", "Sent", lambda v: int(v.row.bytes_sent),
                   lambda v: Cell(formats.size(v.row.bytes_sent)), number=True),
            Column("received", "Received", lambda v: int(v.row.bytes_received),
                   lambda v: Cell(formats.size(v.row.bytes_received)), number=True, shown=False),
            Column("p95_ms", "p95", lambda v: v.row.p95_us / 1000,
                   lambda v: Cell(formats.milliseconds(v.row.p95_us / 1000)), number=True,
                   shown=False),
            Column("environments", "Environments",
                   lambda v: ", ".join(places_of(v.row.environments, names)),
                   lambda v: names_cell(places_of(v.row.environments, names)), shown=False),
            Column("processes", "Called by", lambda v: ", ".join(v.row.processes),
                   lambda v: names_cell(v.row.processes)),
            Column("auth", "Authentication", lambda v: ", ".join(v.row.auth_types),
                   lambda v: Cell(", ".join(v.row.auth_types) or "none")),
            Column("tls", "TLS", lambda v: tls_words(v.row),
                   lambda v: Cell(tls_words(v.row), tone="warn" if v.row.plain else "",
                                  icon="warn" if v.row.plain else "")),
            Column("data", "Personal data", lambda _v: NOT_SCANNED,
                   lambda _v: Cell(NOT_SCANNED, title="Bodies are scanned where the account has"
                                   " PII scanning; it found nothing here because none looked."),
                   sort=False, shown=False),
            Column("first_seen", "First seen", lambda v: v.first_seen,
                   lambda v: Cell("", time=v.first_seen)),
            Column("last_seen", "Last seen", lambda v: v.row.last_seen,
                   lambda v: Cell("", time=v.row.last_seen)),
            Column("owner", "Owner", lambda v: v.owner, shown=False),
            Column("note", "Note", lambda v: v.known.note if v.known else "",
                   lambda v: Cell((v.known.note if v.known else "") or formats.NONE, clip=True),
                   shown=False),
            Column("hosts", "Hosts", lambda v: ", ".join(v.row.hosts),
                   lambda v: names_cell(v.row.hosts), shown=False),
        ),
    )  # fmt: skip


def _name(here: Here, line: VendorLine, kept: dict[str, str]) -> Cell:
    """To its page, or to its requests while the register does not know it."""
    if line.known is None:
        return _requests(here, line, kept, line.row.vendor)
    href = f"{here.url('vendor', line.known.id)}?{urlencode(kept)}".rstrip("?")
    return Cell(line.row.vendor, href=href, clip=True, title=line.row.vendor)


def _requests(here: Here, line: VendorLine, kept: dict[str, str], text: str = "") -> Cell:
    asked = {"from": "now-30d", **kept, "f.vendor": line.row.vendor}
    return Cell(
        text or formats.count(line.row.requests),
        href=f"{here.url('requests')}?{urlencode(asked)}",
        clip=bool(text),
        title=text,
    )


@page(Permission.PULSE_VENDOR_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    chosen = read_range(request, default="30d")
    places = environments(here.scope)
    rows = vendors(here.scope, read_filter(request, chosen, places, text=False))
    found = lines(rows, known(here.scope))
    spec = _spec(
        request, here, tuple((p.slug, p.name) for p in places), {p.id: p.name for p in places}
    )
    # The environment was asked of the event store already.
    fetch = fetch_from(
        found, spec, env=lambda _row, _value: True, review=lambda v, value: v.review == value
    )
    shown = table(request, spec, fetch)
    if isinstance(shown, HttpResponseBase):
        return shown
    waiting = sum(line.review == "open" for line in found)
    context = {
        "table": shown,
        "picker": range_picker(request, chosen),
        "waiting": waiting,
        "waiting_href": with_query(request, **{"f.review": "open"}),
        "most": MOST_LISTED if len(rows) == MOST_LISTED else 0,
    }
    return render(request, "pages/vendors.html", context)
