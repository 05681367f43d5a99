"""Who outside gets what."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from fleet.selectors import environments
from portal.door import page
from portal.here import Here
from portal.kit import formats
from portal.kit.ranges import range_picker, read_range
from portal.kit.tables import Cell, Choice, Column, TableSpec, fetch_from, table
from portal.kit.traffic import read_filter
from portal.kit.urls import with_query
from pulse.analytics import VendorRow, vendors
from qcloud.kernel.permissions import Permission


def _names(values: tuple[str, ...]) -> Cell:
    """The first two and how many more; all of them on hover."""
    short = [value.rsplit("/", 1)[-1] for value in values[:2]]
    more = f" +{len(values) - 2}" if len(values) > 2 else ""
    return Cell((", ".join(short) + more) or formats.NONE, title="\n".join(values), clip=True)


def _spec(
    request: HttpRequest, here: Here, places: tuple[tuple[str, str], ...]
) -> TableSpec[VendorRow]:
    suffix = with_query(request, q=None, sort=None).removeprefix(request.path)
    glue = "&" if suffix else "?"
    return TableSpec(
        name="vendors",
        noun="vendors",
        sort="-requests",
        placeholder="Filter by vendor, host, process",
        row_id=lambda v: v.vendor,
        choices=(Choice("env", "Environment", places),),
        columns=(
            Column(
                "vendor",
                "Vendor",
                lambda v: v.vendor,
                lambda v: Cell(
                    v.vendor, href=f"{here.url('requests')}{suffix}{glue}{_facet(v.vendor)}"
                ),
            ),
            Column(
                "requests",
                "Requests",
                lambda v: v.requests,
                lambda v: Cell(formats.count(v.requests)),
                number=True,
            ),
            Column(
                "errors",
                "4xx and 5xx",
                lambda v: v.errors,
                lambda v: Cell(formats.count(v.errors)),
                number=True,
            ),
            Column(
                "sent",
                "Sent",
                lambda v: int(v.bytes_sent),
                lambda v: Cell(formats.size(v.bytes_sent)),
                number=True,
            ),
            Column(
                "received",
                "Received",
                lambda v: int(v.bytes_received),
                lambda v: Cell(formats.size(v.bytes_received)),
                number=True,
            ),
            Column(
                "p95_ms",
                "p95",
                lambda v: v.p95_us / 1000,
                lambda v: Cell(formats.milliseconds(v.p95_us / 1000)),
                number=True,
            ),
            Column(
                "processes",
                "Called by",
                lambda v: ", ".join(v.processes),
                lambda v: _names(v.processes),
            ),
            Column(
                "auth",
                "Authentication",
                lambda v: ", ".join(v.auth_types),
                lambda v: Cell(", ".join(v.auth_types) or "none"),
            ),
            Column(
                "first_seen",
                "First seen",
                lambda v: v.first_seen,
                lambda v: Cell("", time=v.first_seen),
            ),
            Column(
                "last_seen",
                "Last seen",
                lambda v: v.last_seen,
                lambda v: Cell("", time=v.last_seen),
            ),
            Column(
                "hosts",
                "Hosts",
                lambda v: ", ".join(v.hosts),
                lambda v: _names(v.hosts),
                shown=False,
            ),
        ),
    )


def _facet(vendor: str) -> str:
    return urlencode({"f.vendor": vendor})


@page(Permission.PULSE_VENDOR_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    chosen = read_range(request, default="30d")
    places = environments(here.scope)
    rows = vendors(here.scope, read_filter(request, chosen, places, text=False))
    spec = _spec(request, here, tuple((p.slug, p.name) for p in places))
    # The environment was asked of the event store already.
    shown = table(request, spec, fetch_from(rows, spec, env=lambda _row, _value: True))
    if isinstance(shown, HttpResponseBase):
        return shown
    context = {"table": shown, "picker": range_picker(request, chosen)}
    return render(request, "pages/vendors.html", context)
