"""Reading usage."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Sum
from django.db.models.functions import Left

from pulse.models import UsageHour
from pulse.store.filters import TrafficFilter
from qcloud.kernel.scope import Scope, Tier, scoped


@dataclass(frozen=True)
class UsageHourInfo:
    """What one environment used in the hour that begins at ``hour`` (UTC)."""

    id: UUID
    account_id: UUID
    environment_id: UUID
    hour: datetime
    requests: int
    requests_ingress: int
    requests_egress_internal: int
    requests_egress_external: int
    bytes_sent: int
    bytes_received: int
    counted_at: datetime


def usage_hours(scope: Scope, since: datetime, until: datetime) -> list[UsageHourInfo]:
    """The hours that begin in ``[since, until)``, by hour, of the account and those below it."""
    with scoped(scope):
        rows = UsageHour.objects.filter(hour__gte=since, hour__lt=until)
        if scope.tier is Tier.CUSTOMER:
            # The policy says the same, by a function that no index serves.
            rows = rows.filter(account_id=scope.account_id)
        return [_info(row) for row in rows.order_by("hour", "account_id", "environment_id")]


@dataclass(frozen=True)
class UsageSum:
    """What one account used in a span of hours."""

    account_id: UUID
    requests: int
    requests_ingress: int
    requests_egress_internal: int
    requests_egress_external: int
    bytes_sent: int
    bytes_received: int


@dataclass(frozen=True)
class UsageRanking:
    first: tuple[UsageSum, ...]
    total: UsageSum
    """Of all, whoever they are."""
    accounts: int
    """That used anything."""


def usage_sums_within(
    scope: Scope, since: datetime, until: datetime, places: Mapping[str, UUID]
) -> list[UsageSum]:
    """Sums over each of these accounts, by path, and all below it; the paths are equally long,
    as those of one tier are.
    """
    if not places:
        return []
    names = [field.name for field in fields(UsageSum)][1:]
    length = len(next(iter(places)))
    with scoped(scope):
        rows = UsageHour.objects.filter(hour__gte=since, hour__lt=until)
        rows = rows.annotate(top=Left("account_path", length)).filter(top__in=list(places))
        found = list(rows.values("top").annotate(**{f"sum_{name}": Sum(name) for name in names}))
    return [_sum(places[row["top"]], row, names) for row in found]


def usage_sums(
    scope: Scope, since: datetime, until: datetime, accounts: Collection[UUID]
) -> list[UsageSum]:
    """Sums over the hours that begin in ``[since, until)``, of these accounts at or below the
    scope's. Accounts without usage are left out.
    """
    names = [field.name for field in fields(UsageSum)][1:]
    with scoped(scope):
        rows = UsageHour.objects.filter(
            account_id__in=accounts, hour__gte=since, hour__lt=until
        ).values("account_id")
        found = list(rows.annotate(**{f"sum_{name}": Sum(name) for name in names}))
    return [_sum(row["account_id"], row, names) for row in found]


def usage_ranking(scope: Scope, since: datetime, until: datetime, limit: int) -> UsageRanking:
    """Who of those at or below the scope used most, by requests, and what all used together."""
    names = [field.name for field in fields(UsageSum)][1:]
    sums = {f"sum_{name}": Sum(name, default=0) for name in names}
    with scoped(scope):
        rows = UsageHour.objects.filter(hour__gte=since, hour__lt=until)
        total = rows.aggregate(**sums, accounts=Count("account_id", distinct=True))
        by_account = rows.values("account_id").annotate(**sums)
        first = list(by_account.order_by("-sum_requests", "account_id")[:limit])
    return UsageRanking(
        tuple(_sum(row["account_id"], row, names) for row in first),
        _sum(scope.account_id, total, names),
        total["accounts"],
    )


def _sum(account_id: UUID, row: dict[str, Any], names: list[str]) -> UsageSum:
    return UsageSum(account_id, *(int(row[f"sum_{name}"]) for name in names))


def event_filter_for(usage: UsageHourInfo) -> TrafficFilter:
    """The filter under which the events behind this figure are found."""
    return TrafficFilter(
        since=usage.hour,
        until=usage.hour + timedelta(hours=1),
        environments=(usage.environment_id,),
    )


def _info(row: UsageHour) -> UsageHourInfo:
    return UsageHourInfo(
        id=row.id,
        account_id=row.account_id,
        environment_id=row.environment_id,
        hour=row.hour,
        requests=row.requests,
        requests_ingress=row.requests_ingress,
        requests_egress_internal=row.requests_egress_internal,
        requests_egress_external=row.requests_egress_external,
        bytes_sent=int(row.bytes_sent),
        bytes_received=int(row.bytes_received),
        counted_at=row.counted_at,
    )
