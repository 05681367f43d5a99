"""What billing needs of the rooms below: metered hours, and names for what it bills."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from billing.periods import Period
from billing.rating.usage import Counts, HourRow, Source
from fleet.selectors import environments
from identity.selectors import AccountInfo, children
from pulse.metering import UsageHourInfo, usage_hours
from qcloud.kernel.scope import Scope, Tier


def direct_buyers(seller: Scope) -> list[AccountInfo]:
    """The accounts one step below the seller, by name."""
    return [info for info in children(seller) if info.parent_id == seller.account_id]


def account_names(scope: Scope) -> dict[UUID, str]:
    """Names of all accounts below the scope's own."""
    return {info.id: info.name for info in children(scope)}


def environment_names(scope: Scope) -> dict[UUID, str]:
    """Names of the scope's own environments."""
    return {environment.id: environment.name for environment in environments(scope)}


def metered_hours(scope: Scope, period: Period) -> Iterator[HourRow]:
    """The metered hours that begin in the period, of the scope's account and those below.

    Read a day at a time where thousands of accounts may lie below: a month of them at once
    is gigabytes, and a minute of silence on the connection.
    """
    days = scope.tier is not Tier.CUSTOMER
    for since, until in _windows(period, timedelta(days=1) if days else None):
        for row in usage_hours(scope, since, until):
            yield HourRow(Source(row.account_id, row.environment_id), row.hour, _counts(row))


def _windows(period: Period, step: timedelta | None) -> Iterator[tuple[datetime, datetime]]:
    since = period.usage_since
    while since < period.usage_until:
        until = min(since + step, period.usage_until) if step else period.usage_until
        yield since, until
        since = until


def _counts(row: UsageHourInfo) -> Counts:
    return Counts(
        requests=row.requests,
        requests_ingress=row.requests_ingress,
        requests_egress_internal=row.requests_egress_internal,
        requests_egress_external=row.requests_egress_external,
        bytes_sent=row.bytes_sent,
        bytes_received=row.bytes_received,
    )
