"""Metered usage: one's own by environment and day, or that of the accounts below."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone

from billing.selectors import EstimatedCharge, estimate
from fleet.selectors import environments
from identity.selectors import children
from portal.door import page
from portal.here import Here
from portal.kit import formats
from portal.kit.charts import Chart, Series
from portal.kit.metering import Usage, grouped, local_day, month_of
from portal.kit.ranges import RangePicker, TimeRange, range_picker, read_range
from portal.kit.tables import Cell, Choice, Column, TableSpec, fetch_from, table
from pulse.metering import usage_hours
from qcloud.kernel.errors import NotFound
from qcloud.kernel.money import format_amount
from qcloud.kernel.permissions import Permission


@dataclass(frozen=True)
class DayRow:
    """One place's usage of one day in the account's zone."""

    day: date
    place_id: UUID
    place: str
    usage: Usage

    @property
    def id(self) -> str:
        return f"{self.day.isoformat()}/{self.place_id}"


def _spec(noun: str, places: dict[UUID, str]) -> TableSpec[DayRow]:
    key = "env" if noun == "Environment" else "account"
    return TableSpec(
        name="usage",
        noun="days",
        sort="-day",
        placeholder="Filter",
        choices=(Choice(key, noun, tuple((str(i), n) for i, n in places.items())),),
        columns=(
            Column("day", "Day", lambda r: r.day.isoformat()),
            Column("place", noun, lambda r: r.place),
            Column(
                "requests",
                "Requests",
                lambda r: r.usage.requests,
                lambda r: Cell(formats.count(r.usage.requests)),
                number=True,
            ),
            Column(
                "ingress",
                "Received",
                lambda r: r.usage.requests_ingress,
                lambda r: Cell(formats.count(r.usage.requests_ingress)),
                number=True,
            ),
            Column(
                "internal",
                "To internal",
                lambda r: r.usage.requests_egress_internal,
                lambda r: Cell(formats.count(r.usage.requests_egress_internal)),
                number=True,
            ),
            Column(
                "external",
                "To third parties",
                lambda r: r.usage.requests_egress_external,
                lambda r: Cell(formats.count(r.usage.requests_egress_external)),
                number=True,
            ),
            Column(
                "sent",
                "Bytes sent",
                lambda r: r.usage.bytes_sent,
                lambda r: Cell(formats.size(r.usage.bytes_sent)),
                number=True,
            ),
            Column(
                "received",
                "Bytes received",
                lambda r: r.usage.bytes_received,
                lambda r: Cell(formats.size(r.usage.bytes_received)),
                number=True,
            ),
        ),
    )


@page(Permission.BILLING_USAGE_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    own = here.portal == "c"
    noun, places = _places(here, own=own)
    chosen, picker = _range(request, here)
    rows = _rows(here, chosen, places, own=own)
    spec = _spec(noun, places)
    key = "env" if own else "account"
    picked = request.GET.get(f"f.{key}", "")
    shown = table(request, spec, fetch_from(rows, spec, **{key: lambda r, v: str(r.place_id) == v}))
    if isinstance(shown, HttpResponseBase):
        return shown
    kept = [row for row in rows if not picked or str(row.place_id) == picked]
    total = sum((row.usage for row in kept), Usage())
    context = {
        "table": shown,
        "picker": picker,
        "total": total,
        "chart": _chart(here, kept, chosen),
        "estimate": _estimate(here) if own and here.actor.environments is None else None,
        "own": own,
    }
    return render(request, "pages/usage.html", context)


def _places(here: Here, *, own: bool) -> tuple[str, dict[UUID, str]]:
    if own:
        return "Environment", {place.id: place.name for place in environments(here.scope)}
    return "Customer", {info.id: info.name for info in children(here.scope)}


def _range(request: HttpRequest, here: Here) -> tuple[TimeRange, RangePicker]:
    """The running month unless the address says otherwise; whole days of the account's zone."""
    if request.GET.get("from") or request.GET.get("to"):
        chosen = read_range(request, default="30d")
    else:
        since, _ = month_of(here.account.timezone)
        chosen = TimeRange(since, timezone.now(), "")
    return chosen, range_picker(request, chosen)


def _rows(here: Here, chosen: TimeRange, places: dict[UUID, str], *, own: bool) -> list[DayRow]:
    zone = ZoneInfo(here.account.timezone)
    hours = usage_hours(here.scope, chosen.since, chosen.until)
    sums = grouped(
        hours,
        lambda row: (local_day(row, zone), row.environment_id if own else row.account_id),
    )
    return [
        DayRow(day, place, places.get(place, str(place)), usage)
        for (day, place), usage in sums.items()
    ]


def _chart(here: Here, rows: list[DayRow], chosen: TimeRange) -> Chart:
    zone = ZoneInfo(here.account.timezone)
    by_day: dict[date, Usage] = {}
    for row in rows:
        by_day[row.day] = by_day.get(row.day, Usage()) + row.usage
    first = chosen.since.astimezone(zone).date()
    last = chosen.until.astimezone(zone).date()
    days = [first + timedelta(days=i) for i in range((last - first).days + 1)][-400:]
    usage = [by_day.get(day, Usage()) for day in days]
    total = sum(u.requests for u in usage)
    return Chart(
        id="usage-chart",
        title="Requests a day",
        sentence=f"{formats.count(total)} requests in {len(days)} days.",
        unit="",
        times=tuple(datetime(d.year, d.month, d.day, tzinfo=zone) for d in days),
        series=(
            Series(
                "To third parties",
                "series-2",
                tuple(float(u.requests_egress_external) for u in usage),
            ),
            Series(
                "To internal", "series-3", tuple(float(u.requests_egress_internal) for u in usage)
            ),
            Series("Received", "series-1", tuple(float(u.requests_ingress) for u in usage)),
        ),
        step=86_400,
        stacked=True,
        now=int(timezone.now().timestamp()),
    )


def _quantity(charge: EstimatedCharge) -> str:
    """Prices of traffic are by GB or the like, its quantities in bytes."""
    of_bytes = "request" not in charge.unit and charge.unit != "period"
    return f"{formats.count(charge.quantity)}{' B' if of_bytes else ''}"


def _estimate(here: Here) -> dict[str, Any] | None:
    """What this month costs so far; nothing where no prices are known."""
    try:
        found = estimate(here.scope)
    except NotFound:
        return None
    if found.total is None or found.currency is None:
        return {"known": False, "period": found.period}
    return {
        "known": True,
        "period": found.period,
        "total": format_amount(found.total, found.currency),
        "charges": [
            (
                c.description,
                _quantity(c),
                c.unit,
                format_amount(c.amount, found.currency),
            )
            for c in found.charges
        ],
    }
