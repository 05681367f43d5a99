"""What was sent to whom, and whether it arrived."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render

from notify.selectors import DeliveryFilter, DeliveryInfo, deliveries, delivery
from notify.services import delivery_send_again
from portal.door import action, page
from portal.here import Here
from portal.kit import alerting, formats
from portal.kit.forms import Failure, attempt
from portal.kit.offsets import by_offset
from portal.kit.tables import Cell, Choice, Column, Query, TableSpec, table
from qcloud.kernel.errors import NotFound
from qcloud.kernel.permissions import Permission

_STATES: Final = (
    ("waiting", "Waiting"), ("sending", "Sending"), ("sent", "Delivered"), ("failed", "Given up"),
)  # fmt: skip
_KINDS: Final = (("mail", "Mail"), ("webhook", "Webhook"), ("slack", "Slack"))
_TONES: Final = {
    "waiting": ("info", "clock"), "sending": ("info", "clock"), "sent": ("ok", "check"),
    "failed": ("danger", "danger"),
}  # fmt: skip


def _state(row: DeliveryInfo) -> Cell:
    tone, icon = _TONES[row.state]
    return Cell(dict(_STATES)[row.state], tone=tone, icon=icon)


def _spec(here: Here) -> TableSpec[DeliveryInfo]:
    return TableSpec(
        name="deliveries",
        noun="deliveries",
        sort="-created_at",
        placeholder="Filter by address, subject or template",
        choices=(Choice("state", "State", _STATES), Choice("kind", "Kind", _KINDS)),
        columns=(
            Column("subject", "Message", lambda d: d.subject,
                   lambda d: Cell(d.subject or d.what, href=here.url("delivery", d.id), clip=True,
                                  sub=d.reason), sort=False),
            Column("to", "To", lambda d: d.to, lambda d: Cell(d.to, clip=True)),
            Column("state", "State", lambda d: d.state, _state),
            Column("kind", "Kind", lambda d: d.kind, lambda d: Cell(dict(_KINDS)[d.kind]),
                   sort=False),
            Column("attempts", "Attempts", lambda d: d.attempts, number=True),
            Column("created_at", "Asked for", lambda d: d.created_at,
                   lambda d: Cell("", time=d.created_at)),
            Column("next_at", "Next attempt", lambda d: d.next_at,
                   lambda d: Cell(formats.NONE, time=d.next_at if d.state == "waiting" else None),
                   sort=False),
            Column("finished_at", "Done", lambda d: d.finished_at,
                   lambda d: Cell(formats.NONE, time=d.finished_at), sort=False, shown=False),
            Column("what", "Template", lambda d: d.what, shown=False),
        ),
    )  # fmt: skip


def _masked(here: Here) -> bool:
    """Whoever may send again must see where to; the others see that it was sent, not to whom."""
    return not here.may(Permission.NOTIFY_DELIVERY_WRITE)


@page(Permission.NOTIFY_DELIVERY_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    def select(query: Query, offset: int, limit: int) -> tuple[list[DeliveryInfo], int]:
        chosen = DeliveryFilter(
            text=query.text,
            state=query.filters.get("state", ""),
            kind=query.filters.get("kind", ""),
            masked=_masked(here),
        )
        return deliveries(
            here.scope, chosen, sort=query.sort, descending=query.descending, offset=offset,
            limit=limit,
        )  # fmt: skip

    shown = table(request, _spec(here), by_offset(select))
    if isinstance(shown, HttpResponseBase):
        return shown
    tabs = alerting.tabs(here, "deliveries")
    return render(request, "pages/deliveries.html", {"table": shown, "tabs": tabs})


@page(Permission.NOTIFY_DELIVERY_READ)
def detail(request: HttpRequest, here: Here, delivery_id: UUID) -> HttpResponseBase:
    return _detail(request, here, delivery_id, None)


@action(Permission.NOTIFY_DELIVERY_WRITE)
def again(request: HttpRequest, here: Here, delivery_id: UUID) -> HttpResponseBase:
    outcome = attempt(
        request,
        here.scope,
        "again",
        lambda: delivery_send_again(actor=here.actor, delivery_id=delivery_id),
    )
    if isinstance(outcome, Failure):
        return _detail(request, here, delivery_id, outcome)
    messages.success(request, "It is on its way again.")
    return HttpResponseRedirect(here.url("delivery", delivery_id))


def _detail(
    request: HttpRequest, here: Here, delivery_id: UUID, failed: Failure | None
) -> HttpResponseBase:
    found = delivery(here.scope, delivery_id, masked=_masked(here))
    if found is None:
        raise NotFound("There is no such delivery in this account.")
    row, attempts = found
    context = {
        "delivery": row,
        "state": _state(row),
        "kind": dict(_KINDS)[row.kind],
        "attempts": attempts,
        "crumbs": [("Deliveries", here.url("deliveries"))],
        "failed": failed,
        "may_write": here.may_write(Permission.NOTIFY_DELIVERY_WRITE),
    }
    return render(request, "pages/delivery.html", context, status=failed.status if failed else 200)
