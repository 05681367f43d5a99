"""The frozen hours behind an invoice, and the proof that they are what was billed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from billing.selectors import FrozenInvoice, frozen_invoice, invoice
from fleet.selectors import environments
from portal.door import page
from portal.here import Here
from portal.kit import formats
from portal.kit.tables import Cell, Column, TableSpec, fetch_from, table
from qcloud.kernel.permissions import Permission


@dataclass(frozen=True)
class _Hour:
    id: str
    hour: datetime
    place: str
    requests: int
    ingress: int
    internal: int
    external: int
    sent: int
    received: int


_SPEC: Final[TableSpec[_Hour]] = TableSpec(
    name="hours",
    noun="hours",
    sort="hour",
    row_id=lambda h: h.id,
    columns=(
        Column("hour", "Hour", lambda h: h.hour, lambda h: Cell("", time=h.hour)),
        Column("place", "Environment", lambda h: h.place),
        Column("requests", "Requests", lambda h: h.requests, number=True),
        Column("ingress", "Received", lambda h: h.ingress, number=True, shown=False),
        Column("internal", "To internal", lambda h: h.internal, number=True, shown=False),
        Column("external", "To third parties", lambda h: h.external, number=True, shown=False),
        Column("sent", "Bytes sent", lambda h: h.sent, lambda h: Cell(formats.size(h.sent)),
               number=True),
        Column("received", "Bytes received", lambda h: h.received,
               lambda h: Cell(formats.size(h.received)), number=True),
    ),
)  # fmt: skip


@page(Permission.BILLING_INVOICE_READ)
def index(request: HttpRequest, here: Here, invoice_id: UUID) -> HttpResponseBase:
    """Hour by hour, with the chain's digests."""
    found = invoice(here.scope, invoice_id)
    frozen = frozen_invoice(here.scope, invoice_id)
    hours = _hours(here, frozen)
    shown = table(request, _SPEC, fetch_from(hours, _SPEC))
    if isinstance(shown, HttpResponseBase):
        return shown
    info = found.invoice
    context = {
        "table": shown,
        "invoice": info,
        "frozen": frozen,
        "hours": len(hours),
        "requests": sum(hour.requests for hour in hours),
        "bytes": sum(hour.sent + hour.received for hour in hours),
        "crumbs": [
            ("Invoices", here.url("invoices")),
            (info.period, here.url("invoice", invoice_id)),
        ],
    }
    return render(request, "pages/invoice_usage.html", context)


def _hours(here: Here, frozen: FrozenInvoice) -> list[_Hour]:
    # A seller sees what was used, not how its customers call their environments.
    places = environments(here.scope) if here.portal == "c" else []
    names = {place.id: place.name for place in places}
    return [
        _Hour(
            f"{row.source.environment_id}-{row.hour:%Y%m%d%H}",
            row.hour,
            names.get(row.source.environment_id, str(row.source.environment_id)),
            row.counts.requests,
            row.counts.requests_ingress,
            row.counts.requests_egress_internal,
            row.counts.requests_egress_external,
            row.counts.bytes_sent,
            row.counts.bytes_received,
        )
        for part in frozen.parts
        for row in part.hours
    ]
