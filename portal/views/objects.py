"""Where is that payload? Requests whose headers and bodies lie in the customer's own store."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render

from fleet.selectors import EnvironmentInfo, environments, object_store_of
from fleet.services import object_locate
from portal.door import page
from portal.here import Here
from portal.kit import formats
from portal.kit.ranges import TimeRange, range_picker, read_range
from portal.kit.tables import Cell, Choice, Column, Fetch, Page, Query, TableSpec, table
from portal.kit.traffic import METHODS, STATUSES, chips, read_filter, typed, typed_hidden
from portal.kit.urls import with_query
from portal.views.request import status_cell
from pulse.analytics import Order, RequestRow, search_requests
from qcloud.kernel.permissions import Permission


def _spec(
    here: Here, places: dict[UUID, EnvironmentInfo], located: frozenset[UUID]
) -> TableSpec[RequestRow]:
    return TableSpec(
        name="objects",
        noun="payloads",
        sort="-timestamp",
        placeholder="Host or path contains, a digest or a request id",
        row_id=lambda r: str(r.request_id),
        choices=(
            Choice("env", "Environment", tuple((p.slug, p.name) for p in places.values())),
            Choice("status", "Status", STATUSES),
            Choice("method", "Method", METHODS),
        ),
        columns=(
            Column("path", "Payload of", lambda r: r.path, lambda r: Cell(
                r.path, href=here.url("request", r.request_id), code=True, clip=True,
                title=r.path, replayed=r.replayed), sort=False),
            Column("timestamp", "Time", lambda r: r.timestamp,
                   lambda r: Cell("", time=r.timestamp)),
            Column("method", "Method", lambda r: r.method, sort=False),
            Column("host", "Host", lambda r: r.host,
                   lambda r: Cell(r.host, clip=True, title=r.host), sort=False),
            Column("status", "Status", lambda r: r.status, lambda r: status_cell(r.status)),
            Column("digest", "Digest", lambda r: r.object_digest, lambda r: Cell(
                f"{r.object_digest[:12]}…", code=True, title=r.object_digest), sort=False),
            Column("store", "In your store", lambda r: r.environment_id in located,
                   lambda r: _at_store(here, r, located), sort=False, exported=False),
            Column("environment", "Environment",
                   lambda r: places[r.environment_id].name if r.environment_id in places else "",
                   sort=False),
            Column("bytes_received", "Received", lambda r: r.bytes_received,
                   lambda r: Cell(formats.size(r.bytes_received)), number=True, shown=False),
            Column("request_id", "Request id", lambda r: str(r.request_id),
                   lambda r: Cell(str(r.request_id), code=True), sort=False, shown=False),
        ),
    )  # fmt: skip


def _at_store(here: Here, row: RequestRow, located: frozenset[UUID]) -> Cell:
    if row.environment_id not in located:
        return Cell(
            "by its request",
            title="The environment has neither keys nor an access_url for browsers.",
        )
    href = here.url("object-open", row.environment_id, row.object_digest)
    return Cell("Open", href=href, rel="noreferrer", title=row.object_digest)


@page(Permission.PULSE_OBJECT_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    chosen = read_range(request, default="24h")
    places = {place.id: place for place in environments(here.scope)}
    stores = {i: store for i in places if (store := object_store_of(i)) is not None}
    located = frozenset(i for i, store in stores.items() if store.opens)
    shown = table(request, _spec(here, places, located), _fetcher(request, here, chosen))
    if isinstance(shown, HttpResponseBase):
        return shown
    bare = [place for i, place in places.items() if i not in stores]
    context = {
        "table": shown,
        "picker": range_picker(request, chosen),
        "typed": typed(request),
        "typed_hidden": typed_hidden(request),
        "chips": [chip for chip in chips(request) if not chip[0].startswith("contains")],
        "bare": bare,
        "whole_href": with_query(request, **{"from": "now-30d", "to": None}),
    }
    return render(request, "pages/objects.html", context)


def _fetcher(request: HttpRequest, here: Here, chosen: TimeRange) -> Fetch[RequestRow]:
    wanted = replace(read_filter(request, chosen, environments(here.scope)), kept=True)
    if _is_digest(wanted.query):
        wanted = replace(wanted, digest=wanted.query.lower(), query="")

    def fetch(query: Query, cursor: str, limit: int) -> Page[RequestRow]:
        order = Order(query.sort, descending=query.descending)
        found = search_requests(here.scope, wanted, cursor or None, order=order, limit=limit)
        return Page(found.rows, found.next_cursor or "")

    return fetch


def _is_digest(text: str) -> bool:
    return len(text) == 40 and not set(text.lower()) - set("0123456789abcdef")


@page(Permission.PULSE_OBJECT_READ, apart=True)
def open_at_store(
    request: HttpRequest,  # noqa: ARG001  a view's signature
    here: Here,
    environment_id: UUID,
    digest: str,
) -> HttpResponseBase:
    """On to the customer's own store, journalled. No byte of it passes here."""
    address = object_locate(actor=here.actor, environment_id=environment_id, digest=digest)
    return HttpResponseRedirect(address)
