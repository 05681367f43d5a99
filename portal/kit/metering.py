"""Sums of metered usage as the pages show them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from django.utils import timezone

from pulse.metering import UsageHourInfo, usage_sums, usage_sums_within
from qcloud.kernel.scope import Scope

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Usage:
    """Counts and bytes; add them with ``+``."""

    requests: int = 0
    requests_ingress: int = 0
    requests_egress_internal: int = 0
    requests_egress_external: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0

    @property
    def bytes(self) -> int:
        return self.bytes_sent + self.bytes_received

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Usage)))


def month_of(zone: str, moment: datetime | None = None) -> tuple[datetime, datetime]:
    """The month in which the moment (now) lies in this zone: its start and its end, UTC."""
    local = (moment or timezone.now()).astimezone(ZoneInfo(zone))
    first = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    following = (first.replace(day=28) + timedelta(days=4)).replace(day=1)
    return first.astimezone(UTC), following.astimezone(UTC)


def grouped(rows: Iterable[UsageHourInfo], key: Callable[[UsageHourInfo], K]) -> dict[K, Usage]:
    sums: dict[K, Usage] = {}
    for row in rows:
        part = Usage(*(getattr(row, f.name) for f in fields(Usage)))
        sums[key(row)] = sums.get(key(row), Usage()) + part
    return sums


def usage_of(
    scope: Scope, since: datetime, until: datetime, accounts: Collection[UUID]
) -> dict[UUID, Usage]:
    """Sums of these accounts; one without usage is left out."""
    found = usage_sums(scope, since, until, accounts)
    return {s.account_id: Usage(*(getattr(s, f.name) for f in fields(Usage))) for s in found}


def usage_within(
    scope: Scope, since: datetime, until: datetime, places: Mapping[str, UUID]
) -> dict[UUID, Usage]:
    """Sums of accounts of one tier, by path, each with all below it."""
    found = usage_sums_within(scope, since, until, places)
    return {s.account_id: Usage(*(getattr(s, f.name) for f in fields(Usage))) for s in found}


def local_day(row: UsageHourInfo, zone: ZoneInfo) -> date:
    return row.hour.astimezone(zone).date()
