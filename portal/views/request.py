"""One request: what is known of it, and what went over the wire."""

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
from portal.kit.tables import Cell
from portal.kit.tabs import Tab
from portal.kit.traffic import (
    DIRECTIONS,
)
from portal.kit.urls import with_query
from pulse.analytics import (
    RequestDetail,
    request_detail,
)
from qcloud.kernel.errors import Invalid, QCloudError
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
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def status_cell(status: int) -> Cell:
    if not status:
        return Cell("no response", tone="muted", icon="minus")
    tone, icon = _TONES.get(status // 100, ("muted", "info"))
    return Cell(str(status), tone=tone, icon=icon)


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
