"""What an account takes with it of this room: usage, issues, alerts, vendors, how long it
keeps them, requests and other events.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import Final
from uuid import UUID

from pulse.alerts.selectors import IncidentInfo, rules, silences
from pulse.inventory.selectors import VendorInfo, known
from pulse.issues.selectors import IssueInfo
from pulse.metering import UsageHourInfo, usage_hours
from pulse.policies import EVENTS_TAKEN
from pulse.retention.choosing import retention_of
from pulse.retention.holds import holds
from pulse.store.export import columns, rows_of_kind
from pulse.store.filters import TrafficFilter
from pulse.store.kinds import KINDS
from pulse.store.requests import Order, Place, RequestRow, in_order
from pulse.tables.alerts import Incident
from pulse.tables.issues import Issue, IssueActivity
from pulse.tables.vendors import VendorSighting
from qcloud.kernel.clock import now
from qcloud.kernel.models import TenantModel
from qcloud.kernel.scope import Scope, Tier, scoped
from qcloud.kernel.settings import value
from qcloud.kernel.takeout import File, document, offer, table

_USAGE: Final = (
    "hour", "environment_id", "requests", "requests_ingress", "requests_egress_internal",
    "requests_egress_external", "bytes_sent", "bytes_received",
)  # fmt: skip
_REQUESTS: Final = tuple(RequestRow.__dataclass_fields__)
_FIRST: Final = datetime(2024, 1, 1, tzinfo=UTC)
"""Before it nothing can have been counted."""
_WINDOW: Final = timedelta(days=90)
_PAGE: Final = 5_000
_A_FILE: Final = 100_000
"""Requests; a spreadsheet opens a million rows at most."""


def register() -> None:
    offer("Usage", _usage, order=40)
    offer("Issues", _issues, order=50)
    offer("Alerts", _alerts, order=51)
    offer("Vendors", _vendors, order=52)
    offer("Retention", _retention, order=53)
    offer("Requests", _requests, order=80)
    offer("Other events", _others, order=85)


_ISSUES: Final = tuple(IssueInfo.__dataclass_fields__)
_ACTIVITY: Final = ("issue_id", "at", "who", "what", "text")
_INCIDENTS: Final = tuple(IncidentInfo.__dataclass_fields__)
_SIGHTINGS: Final = ("vendor_id", "environment_id", "first_seen", "last_seen", "noticed_at")


def _issues(scope: Scope) -> Iterator[File]:
    if scope.tier is Tier.CUSTOMER:
        yield table("issues/issues.csv", _ISSUES, _rows(scope, Issue))
        yield table("issues/activity.csv", _ACTIVITY, _rows(scope, IssueActivity))


def _alerts(scope: Scope) -> Iterator[File]:
    """Rules as one may make them again; which channels they tell, by id alone."""
    if scope.tier is Tier.CUSTOMER:
        yield document("alerts/rules.json", rules(scope))
        yield document("alerts/silences.json", silences(scope))
        yield table("alerts/incidents.csv", _INCIDENTS, _rows(scope, Incident))


def _vendors(scope: Scope) -> Iterator[File]:
    if scope.tier is Tier.CUSTOMER:
        found = sorted(known(scope).values(), key=lambda row: row.name)
        yield table("vendors/vendors.csv", tuple(VendorInfo.__dataclass_fields__), found)
        yield table("vendors/seen.csv", _SIGHTINGS, _rows(scope, VendorSighting))


def _retention(scope: Scope) -> Iterator[File]:
    if scope.tier is Tier.CUSTOMER:
        yield document("retention.json", {"kept": retention_of(scope).kept, "holds": holds(scope)})


def _rows(scope: Scope, model: type[TenantModel]) -> Iterator[TenantModel]:
    """The account's own, the oldest first, a page a transaction."""
    last: UUID | None = None
    while True:
        with scoped(scope):
            rows = model.objects.filter(account_id=scope.account_id).order_by("id")
            page = list((rows.filter(id__gt=last) if last else rows)[:_PAGE])
        yield from page
        if len(page) < _PAGE:
            return
        last = page[-1].pk


def _usage(scope: Scope) -> Iterator[File]:
    if scope.tier is Tier.CUSTOMER:
        yield table("usage-by-hour.csv", _USAGE, _hours(scope))


def _hours(scope: Scope) -> Iterator[UsageHourInfo]:
    since, until = _FIRST, now()
    while since < until:
        yield from usage_hours(scope, since, min(since + _WINDOW, until))
        since += _WINDOW


def _requests(scope: Scope) -> Iterator[File]:
    """The newest first, in files of a hundred thousand, up to the setting."""
    if scope.tier is not Tier.CUSTOMER:
        return
    rows = islice(_newest(scope), value(EVENTS_TAKEN))
    number = 1
    while (first := next(rows, None)) is not None:
        some = chain([first], islice(rows, _A_FILE - 1))
        yield table(f"requests/requests-{number:04}.csv", _REQUESTS, some)
        number += 1


def _others(scope: Scope) -> Iterator[File]:
    """A file a kind, each up to the same setting."""
    if scope.tier is not Tier.CUSTOMER:
        return
    for kind in KINDS:
        if kind == "request":
            continue
        row_of = namedtuple("row_of", columns(kind))  # type: ignore[misc]  # noqa: PYI024  from the table
        rows = (row_of(*values) for values in rows_of_kind(scope, kind))
        yield table(f"events/{kind}.csv", columns(kind), islice(rows, value(EVENTS_TAKEN)))


def _newest(scope: Scope) -> Iterator[RequestRow]:
    chosen, order = TrafficFilter(_FIRST, now() + timedelta(days=1)), Order()
    after: Place | None = None
    while page := in_order(scope, chosen, _PAGE, order, after):
        yield from page
        after = order.place_of(page[-1])
