"""Single requests: the list and its drawer."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from fleet.selectors import EnvironmentInfo, environments
from portal.door import page
from portal.here import Here
from portal.kit import formats
from portal.kit.ranges import TimeRange, range_picker, read_range
from portal.kit.tables import Cell, Choice, Column, Fetch, Page, Query, TableSpec, table
from portal.kit.traffic import (
    DIRECTIONS,
    METHODS,
    STATUSES,
    chips,
    read_filter,
    typed,
    typed_hidden,
)
from portal.kit.urls import with_query
from portal.views.request import facts, status_cell
from pulse.analytics import (
    Order,
    RequestRow,
    request_detail,
    search_requests,
)
from pulse.exports.services import list_export_note
from qcloud.kernel.errors import NotFound
from qcloud.kernel.permissions import Permission

_DIRECTIONS: Final = dict(DIRECTIONS)
_SORT_COLUMNS: Final = {"duration_ms": "duration_us"}


def _spec(request: HttpRequest, places: dict[UUID, EnvironmentInfo]) -> TableSpec[RequestRow]:
    return TableSpec(
        name="requests",
        noun="requests",
        sort="-timestamp",
        placeholder="Host or path contains, or a request id",
        row_id=lambda r: str(r.request_id),
        choices=(
            Choice("env", "Environment", tuple((p.slug, p.name) for p in places.values())),
            Choice("status", "Status", STATUSES),
            Choice("method", "Method", METHODS),
            Choice("direction", "Direction", DIRECTIONS),
        ),
        columns=(
            Column("path", "Path", lambda r: r.path, lambda r: _path(request, r), sort=False),
            Column(
                "timestamp",
                "Time",
                lambda r: r.timestamp,
                lambda r: Cell("", time=r.timestamp),
            ),
            Column("method", "Method", lambda r: r.method, sort=False),
            Column(
                "host",
                "Host",
                lambda r: r.host,
                lambda r: Cell(r.host, clip=True, title=r.host),
                sort=False,
            ),
            Column("status", "Status", lambda r: r.status, lambda r: status_cell(r.status)),
            Column(
                "duration_ms",
                "Duration",
                lambda r: r.duration_us / 1000,
                lambda r: Cell(formats.milliseconds(r.duration_us / 1000)),
                number=True,
            ),
            Column(
                "process",
                "Process",
                lambda r: r.exe,
                lambda r: Cell(r.exe.rsplit("/", 1)[-1] or formats.NONE, title=r.exe),
                sort=False,
            ),
            Column(
                "direction",
                "Direction",
                lambda r: r.direction,
                lambda r: Cell(_DIRECTIONS[r.direction]),
                sort=False,
                shown=False,
            ),
            Column(
                "vendor",
                "Vendor",
                lambda r: r.vendor,
                lambda r: Cell(r.vendor or formats.NONE, clip=True, title=r.vendor),
                sort=False,
            ),
            Column(
                "environment", "Environment", lambda r: _slug(places, r), sort=False, shown=False
            ),
            Column("node", "Node", lambda r: r.hostname, sort=False, shown=False),
            Column("container", "Container", lambda r: r.container_name, sort=False, shown=False),
            Column("pod", "Pod", lambda r: r.pod_name, sort=False, shown=False),
            Column(
                "bytes_sent",
                "Sent",
                lambda r: r.bytes_sent,
                lambda r: Cell(formats.size(r.bytes_sent)),
                number=True,
                shown=False,
            ),
            Column(
                "bytes_received",
                "Received",
                lambda r: r.bytes_received,
                lambda r: Cell(formats.size(r.bytes_received)),
                number=True,
                shown=False,
            ),
            Column("outcome", "Ended", lambda r: r.outcome, sort=False, shown=False),
            Column("replayed", "Replayed", lambda r: r.replayed, sort=False, shown=False),
            Column(
                "request_id",
                "Id",
                lambda r: str(r.request_id),
                lambda r: Cell(str(r.request_id), code=True),
                sort=False,
                shown=False,
            ),
        ),
    )


def _path(request: HttpRequest, row: RequestRow) -> Cell:
    return Cell(
        row.path,
        href=with_query(request, after=request.GET.get("after"), peek=str(row.request_id)),
        title=f"{row.path}\n{formats.utc(row.timestamp)}",
        peek=True,
        code=True,
        clip=True,
        replayed=row.replayed,
        field="request-path",
    )


def _slug(places: dict[UUID, EnvironmentInfo], row: RequestRow) -> str:
    place = places.get(row.environment_id)
    return place.slug if place else str(row.environment_id)


@page(Permission.PULSE_REQUEST_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    chosen = read_range(request, default="24h")
    places = {place.id: place for place in environments(here.scope)}
    if kind := request.GET.get("export", ""):
        wanted = read_filter(request, chosen, list(places.values()))
        list_export_note(actor=here.actor, chosen=wanted, kind=kind[:8])
    shown = table(
        request,
        _spec(request, places),
        _fetcher(request, here, chosen),
    )
    if isinstance(shown, HttpResponseBase):
        return shown
    context = {
        "table": shown,
        "picker": range_picker(request, chosen),
        "typed": typed(request),
        "typed_hidden": typed_hidden(request),
        "chips": [chip for chip in chips(request) if not chip[0].startswith("contains")],
        "live_href": here.url("live") + with_query(request).removeprefix(request.path),
        "export_href": here.url("exports") + with_query(request).removeprefix(request.path)
        if here.may(Permission.PULSE_EXPORT_CREATE)
        else "",
        **_peeked(request, here, places),
    }
    return render(request, "pages/requests.html", context)


def _fetcher(request: HttpRequest, here: Here, chosen: TimeRange) -> Fetch[RequestRow]:
    # The filter reads the same address as the table, and the facets beside the table's own.
    wanted = read_filter(request, chosen, environments(here.scope))

    def fetch(query: Query, cursor: str, limit: int) -> Page[RequestRow]:
        order = Order(_SORT_COLUMNS.get(query.sort, query.sort), descending=query.descending)
        found = search_requests(here.scope, wanted, cursor or None, order=order, limit=limit)
        return Page(found.rows, found.next_cursor or "")

    return fetch


def _peeked(
    request: HttpRequest, here: Here, places: dict[UUID, EnvironmentInfo]
) -> dict[str, Any]:
    """The drawer's request: what is known of it without opening the customer's store."""
    try:
        wanted = UUID(request.GET.get("peek", ""))
    except ValueError:
        return {}
    try:
        row = request_detail(here.scope, wanted)
    except NotFound:
        return {"peek_missing": True}
    return {"row": row, "status": status_cell(row.status), "facts": facts(row, places)}
