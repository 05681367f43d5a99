"""Traffic into the register: which third parties are called, from where, since when."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from django.core.cache import cache
from django.db import connection

from pulse.store.client import Store
from pulse.store.filters import TrafficFilter
from pulse.store.third_parties import Seen, seen
from pulse.tables.vendors import Vendor, VendorSighting
from qcloud.kernel import outbox
from qcloud.kernel.scope import Scope, scoped

log = structlog.get_logger(__name__)

TOPIC: Final = "pulse.vendor.new"
RECENT: Final = timedelta(hours=1)
LONG: Final = timedelta(days=31)
"""Once a day: what agents report days late is found as well."""
AHEAD: Final = timedelta(days=1)
"""Clocks of agents may be ahead by this much."""
MOST_VENDORS: Final = 10_000
"""Of one account. Hostile traffic can name any number of hosts; what comes on top stands in the
list for as long as its events do, and cannot be reviewed."""
_STALE: Final = timedelta(minutes=5)
"""``last_seen`` is not written more often than that."""


def fingerprint(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def look(scope: Scope, moment: datetime, *, store: Store | None = None) -> int:
    """Bring the register up to ``moment``; how many sightings are new.

    Runs twice, and at the same time, with the same outcome. Raises ``StoreUnavailable``.
    """
    daily = f"pulse.vendors:{scope.account_id.hex}:{_day_of(scope, moment):%Y%m%d}"
    past = RECENT if cache.get(daily) else LONG
    found = seen(scope, TrafficFilter(moment - past, moment + AHEAD), store=store)
    with scoped(scope):
        _lock(scope)
        made = _register(scope, [_readable(one, moment) for one in found], moment)
    cache.set(daily, 1, timeout=86_400)
    return made


def _day_of(scope: Scope, moment: datetime) -> datetime:
    """Days that begin at another minute for each account: not all look far back at midnight."""
    return moment - timedelta(minutes=scope.account_id.int % 1_440)


def _readable(one: Seen, moment: datetime) -> Seen:
    """As PostgreSQL can keep it, and not in the future."""
    name = one.vendor.replace("\0", "�")[:1_024]
    return Seen(one.environment_id, name, min(one.first, moment), min(one.last, moment))


def _lock(scope: Scope) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"vendors {scope.account_id}"]
        )


def _register(scope: Scope, found: Sequence[Seen], moment: datetime) -> int:
    initial = not VendorSighting.objects.exists()
    vendors = _vendors(scope, {one.vendor for one in found})
    before = VendorSighting.objects.filter(vendor_id__in=[v.id for v in vendors.values()])
    known = {(row.vendor_id, row.environment_id): row for row in before}
    called = {row.vendor_id for row in before}
    new: dict[tuple[UUID, UUID], VendorSighting] = {}
    for one in found:
        vendor = vendors.get(one.vendor)
        if vendor is None:
            continue
        key = (vendor.id, one.environment_id)
        if key in known:
            _seen_again(known[key], one)
        elif key not in new:
            # What lies before the first look ever is history and no news.
            fresh = not initial or one.first >= moment - RECENT
            new[key] = _sighting(scope, vendor.id, one, moment if fresh else one.first)
            if fresh:
                _tell(vendor, one, first=vendor.id not in called)
                called.add(vendor.id)
    VendorSighting.objects.bulk_create(new.values(), batch_size=1_000)
    return len(new)


def _vendors(scope: Scope, names: set[str]) -> dict[str, Vendor]:
    """The account's vendors of these names; those it had not are made while there is room."""
    by_print = {fingerprint(name): name for name in sorted(names)}
    rows = list(Vendor.objects.filter(fingerprint__in=by_print))
    lacking = sorted(set(by_print) - {row.fingerprint for row in rows})
    room = max(0, MOST_VENDORS - Vendor.objects.count()) if lacking else 0
    if len(lacking) > room:
        log.warning(
            "vendors: the register is full",
            account=str(scope.account_id),
            most=MOST_VENDORS,
            left_out=len(lacking) - room,
        )
    made = [
        Vendor(account_id=scope.account_id, fingerprint=f, name=by_print[f]) for f in lacking[:room]
    ]
    Vendor.objects.bulk_create(made, batch_size=1_000)
    return {row.name: row for row in [*rows, *made]}


def _sighting(scope: Scope, vendor_id: UUID, one: Seen, noticed: datetime) -> VendorSighting:
    return VendorSighting(
        account_id=scope.account_id,
        vendor_id=vendor_id,
        environment_id=one.environment_id,
        first_seen=one.first,
        last_seen=one.last,
        noticed_at=noticed,
    )


def _seen_again(row: VendorSighting, one: Seen) -> None:
    if one.first < row.first_seen or one.last >= row.last_seen + _STALE:
        row.first_seen = min(row.first_seen, one.first)
        row.last_seen = max(row.last_seen, one.last)
        row.save(update_fields=["first_seen", "last_seen"])


def _tell(vendor: Vendor, one: Seen, *, first: bool) -> None:
    payload: dict[str, Any] = {
        "vendor_id": str(vendor.id),
        "vendor": vendor.name,
        "environment_id": str(one.environment_id),
        "first_seen": one.first.isoformat(),
        "first_of_account": first,
    }
    outbox.publish(TOPIC, payload, account_id=vendor.account_id)
