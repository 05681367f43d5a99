"""The register as people may see it: whoever is limited to environments knows of what is
called from those alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Max, Min

from pulse.tables.vendors import Review, Vendor, VendorSighting
from qcloud.kernel.scope import Scope, scoped


@dataclass(frozen=True)
class SightingInfo:
    environment_id: UUID
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True)
class VendorInfo:
    """A third party of the register. Moments are over the environments that one may see."""

    id: UUID
    name: str
    review: str
    """One of ``Review``."""
    owner_id: UUID | None
    owner: str
    note: str
    reviewed_at: datetime | None
    reviewed_by: str
    can_undo: bool
    first_seen: datetime
    last_seen: datetime
    noticed_at: datetime


def known(scope: Scope, names: Sequence[str] | None = None) -> dict[str, VendorInfo]:
    """By name, as many as there are of ``names``; of all without."""
    with scoped(scope):
        moments = _moments({})
        rows = Vendor.objects.filter(id__in=moments)
        if names is not None:
            rows = rows.filter(name__in=list(names))
        return {row.name: info(row, moments[row.id]) for row in rows}


def vendor(scope: Scope, vendor_id: UUID) -> VendorInfo | None:
    """``None``: the account has none with this id, or not where one may look."""
    with scoped(scope):
        moments = _moments({"vendor_id": vendor_id})
        row = Vendor.objects.filter(id__in=moments).first()
        return info(row, moments[row.id]) if row else None


def sightings(scope: Scope, vendor_id: UUID) -> list[SightingInfo]:
    """The environments that call it, the earliest first."""
    with scoped(scope):
        rows = VendorSighting.objects.filter(vendor_id=vendor_id).order_by("first_seen", "id")
        return [SightingInfo(r.environment_id, r.first_seen, r.last_seen) for r in rows]


def noticed_between(
    scope: Scope, since: datetime, until: datetime, environment_ids: Sequence[UUID] = ()
) -> list[datetime]:
    """When each third party became known in ``[since, until)`` that was not known before, in
    order; in these environments, or in all.
    """
    with scoped(scope):
        rows = VendorSighting.objects.all()
        if environment_ids:
            rows = rows.filter(environment_id__in=environment_ids)
        first = rows.values("vendor_id").annotate(at=Min("noticed_at"))
        chosen = first.filter(at__gte=since, at__lt=until).order_by("at")
        return list(chosen.values_list("at", flat=True))


def refused_calls(scope: Scope, environment_ids: Sequence[UUID] = ()) -> list[datetime]:
    """When each third party that may not be used was called last; some minutes behind."""
    with scoped(scope):
        refused = Vendor.objects.filter(review=Review.REFUSED).values("id")
        rows = VendorSighting.objects.filter(vendor_id__in=refused)
        if environment_ids:
            rows = rows.filter(environment_id__in=environment_ids)
        last = rows.values("vendor_id").annotate(at=Max("last_seen")).order_by("at")
        return list(last.values_list("at", flat=True))


def new_since(scope: Scope, since: datetime, limit: int) -> list[VendorInfo]:
    """Those that became known since then, the latest first."""
    found = (row for row in known(scope).values() if row.noticed_at >= since)
    return sorted(found, key=lambda row: row.noticed_at, reverse=True)[:limit]


def count(scope: Scope) -> dict[str, int]:
    """Third parties by review."""
    with scoped(scope):
        rows = Vendor.objects.filter(id__in=_moments({}))
        counts = dict.fromkeys(Review.values, 0)
        for review in rows.values_list("review", flat=True):
            counts[review] += 1
        return counts


_Moments = tuple[datetime, datetime, datetime]


def _moments(narrowed: dict[str, Any]) -> dict[UUID, _Moments]:
    """By vendor: first and last seen, and when it was noticed first."""
    rows = (
        VendorSighting.objects.filter(**narrowed)
        .values("vendor_id")
        .annotate(a=Min("first_seen"), b=Max("last_seen"), c=Min("noticed_at"))
    )
    return {row["vendor_id"]: (row["a"], row["b"], row["c"]) for row in rows}


def info(row: Vendor, moments: _Moments) -> VendorInfo:
    return VendorInfo(
        row.id, row.name, row.review, row.owner_id, row.owner, row.note, row.reviewed_at,
        row.reviewed_by, row.previous is not None, *moments,
    )  # fmt: skip
