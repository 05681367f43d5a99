"""Reading usage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

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
