"""Single requests: the list, the drawer, and what went over the wire."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from fleet.selectors import EnvironmentInfo, environments, object_store_of
from fleet.services import object_open
from portal.door import page
from portal.here import Here
from portal.kit import formats
from portal.kit.headers import masked_headers
from portal.kit.kept import kept
from portal.kit.payload import VIEWS, Payload, payload_view
from portal.kit.ranges import TimeRange, range_picker, read_range
from portal.kit.tables import Cell, Choice, Column, Fetch, Page, Query, TableSpec, table
from portal.kit.tabs import Tab
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
from pulse.analytics import (
    Order,
    RequestDetail,
    RequestRow,
    request_detail,
    search_requests,
)
from pulse.exports.services import list_export_note
from qcloud.kernel.errors import Invalid, NotFound, QCloudError
from qcloud.kernel.permissions import Permission
from qcloud.kernel.scope import scoped
from wire.objects import HttpTransaction, decode_transaction

_TONES: Final = {
    2: ("ok", "check"),
    3: ("info", "right"),
    4: ("warn", "warn"),
    5: ("danger", "danger"),
}
_DIRECTIONS: Final = dict(DIRECTIONS)
_SORT_COLUMNS: Final = {"duration_ms": "duration_us"}


def status_cell(status: int) -> Cell:
    if not status:
        return Cell("no response", tone="muted", icon="minus")
    tone, icon = _TONES.get(status // 100, ("muted", "info"))
    return Cell(str(status), tone=tone, icon=icon)


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


Fact = tuple[str, list[tuple[str, str]]]


def facts(row: RequestDetail, places: dict[UUID, EnvironmentInfo]) -> list[Fact]:
    """What the agent knows, in groups of label and value; the empty left out."""
    place = places.get(row.environment_id)
    groups: list[Fact] = [
        (
            "Exchange",
            [
                ("Duration", formats.milliseconds(row.duration_us / 1000)),
                ("Direction", _DIRECTIONS[row.direction]),
                ("Ended", row.outcome.replace("-", " ")),
                ("Protocol", f"{row.protocol} over {row.scheme}"),
                ("Sent", formats.size(row.bytes_sent)),
                ("Received", formats.size(row.bytes_received)),
                ("Content type", row.content_type),
                ("User agent", row.agent),
                ("Vendor", row.vendor),
                ("Clock of the node", _clock(row)),
            ],
        ),
        (
            "Process",
            [
                ("Executable", row.exe),
                ("Process id", str(row.process_id) if row.process_id else ""),
                ("User", f"{row.user} ({row.user_id})" if row.user else ""),
                ("Container", row.container_name or row.container_id[:12]),
                ("Image", row.container_image),
                ("Pod", f"{row.pod_namespace}/{row.pod_name}" if row.pod_name else ""),
                ("Node", row.hostname),
                ("Tags", row.tags.replace("\n", ", ")),
                ("Environment", place.name if place else ""),
            ],
        ),
        (
            "Connection",
            [
                ("From", _address(row.source_ip, row.source_port)),
                ("To", _address(row.destination_ip, row.destination_port)),
                ("TLS", row.tls_version),
                ("Seen by", f"{row.tls_probe} probe" if row.tls_probe else "plain socket"),
                ("Credential", _credential(row)),
                ("Connection id", str(row.connection_id)),
                ("Request id", str(row.request_id)),
                ("Headers sent along", row.headers.replace("\n", ", ")),
            ],
        ),
    ]
    return [(title, [pair for pair in pairs if pair[1]]) for title, pairs in groups]


def _address(ip: str, port: int) -> str:
    if not ip:
        return ""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _clock(row: RequestDetail) -> str:
    """Said only where it cannot be right."""
    if not row.clock_suspect:
        return ""
    try:
        said = _EPOCH + timedelta(microseconds=row.reported_us)
    except OverflowError:
        return "wrong; the time shown is that of arrival"
    return f"wrong, it said {said:%Y-%m-%d %H:%M} UTC; the time shown is that of arrival"


def _credential(row: RequestDetail) -> str:
    if not row.auth_token_type:
        return ""
    mask = f", {row.auth_token_mask}" if row.auth_token_mask else ""
    return f"{row.auth_token_type} in {row.auth_token_source}{mask}"


@dataclass(frozen=True)
class Body:
    """What the customer's store holds of the exchange, or why there is nothing."""

    transaction: HttpTransaction | None
    reason: str = ""
    hint: str = ""


@page(Permission.PULSE_REQUEST_READ)
def detail(request: HttpRequest, here: Here, request_id: UUID) -> HttpResponseBase:
    """One exchange. Its headers and bodies are read from the customer's store, journalled."""
    row = request_detail(here.scope, request_id)
    places = {place.id: place for place in environments(here.scope)}
    side = "response" if request.GET.get("body") == "response" else "request"
    body = _body(here, row)
    context = {
        "row": row,
        "status": status_cell(row.status),
        "facts": facts(row, places),
        "duration": formats.milliseconds(row.duration_us / 1000),
        "environment": places.get(row.environment_id),
        "body": body,
        "side": side,
        "crumbs": [("Requests", here.url("requests"))],
        "may_read_body": here.may(Permission.PULSE_OBJECT_READ),
        "opens": _opens(here, row),
        **kept(request, here, row),
        **(_message(request, body.transaction, side) if body.transaction else {}),
    }
    return render(request, "pages/request.html", context)


def _opens(here: Here, row: RequestDetail) -> bool:
    """Whether the reader's own browser can be sent to the store."""
    store = object_store_of(row.environment_id)
    may = here.may(Permission.PULSE_OBJECT_READ) and bool(row.object_digest)
    return may and store is not None and store.opens


def _body(here: Here, row: RequestDetail) -> Body:
    if not here.may(Permission.PULSE_OBJECT_READ):
        return Body(
            None,
            "Your role does not include payloads.",
            f"An owner or administrator of {here.account.name} can grant it.",
        )
    if not row.object_digest:
        return _none_kept(row)
    try:
        with scoped(here.scope):
            data = object_open(
                actor=here.actor, environment_id=row.environment_id, digest=row.object_digest
            )
        return Body(decode_transaction(data))
    except QCloudError as error:
        return Body(None, "The payload could not be opened.", error.message)
    except msgspec.DecodeError:
        # msgspec.ValidationError is one of these: the object is whole and of another kind.
        return Body(None, "The payload is not an HTTP exchange.", f"Object {row.object_digest}.")


def _none_kept(row: RequestDetail) -> Body:
    if object_store_of(row.environment_id) is None:
        return Body(
            None,
            "No payload is kept here.",
            "The environment has no object store of its own. Agents report metadata only until"
            " it has one, so nothing leaks while you set up.",
        )
    return Body(
        None,
        "No payload was kept of this request.",
        "The environment's capture level left it out when the request was made.",
    )


def _message(request: HttpRequest, transaction: HttpTransaction, side: str) -> dict[str, Any]:
    """Headers and body of one side, in the view and from the byte that the address asks for."""
    message = transaction.response if side == "response" else transaction.request
    view = request.GET.get("view", "tree")
    if view not in VIEWS:
        raise Invalid(f"A body is shown as one of {', '.join(VIEWS)}.")
    payload = payload_view(
        message.body if message else b"", view, _offset(request.GET.get("offset", ""))
    )
    return {
        "message": message,
        "headers": masked_headers(message.headers) if message else [],
        "payload": payload,
        "sides": _sides(request, transaction, side),
        "views": [
            Tab(label.title(), with_query(request, view=label, offset=None), label == payload.view)
            for label in VIEWS
        ],
        **_windows(request, payload),
    }


def _offset(text: str) -> int:
    """Bytes from the beginning; 0 for what is no plain number of a file's size."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0


def _sides(request: HttpRequest, transaction: HttpTransaction, side: str) -> list[Tab]:
    sides = ["request", *(["response"] if transaction.response else [])]
    return [
        Tab(name.title(), with_query(request, body=name, offset=None), name == side)
        for name in sides
    ]


def _windows(request: HttpRequest, payload: Payload) -> dict[str, str]:
    before, after = payload.previous_start, payload.next_start
    return {
        "payload_previous": "" if before is None else with_query(request, offset=str(before)),
        "payload_next": "" if after is None else with_query(request, offset=str(after)),
    }
