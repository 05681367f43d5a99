"""What billing needs of the rooms below: metered hours, and names for what it bills."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from pulse.metering import usage_hours

from billing.periods import Period
from billing.rating.usage import Counts, HourRow, Source
from fleet.selectors import environments
from identity.selectors import AccountInfo, children
from qcloud.kernel.scope import Scope


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
    """The metered hours that begin in the period, of the scope's account and those below."""
    for row in usage_hours(scope, period.usage_since, period.usage_until):
        counts = Counts(
            requests=row.requests,
            requests_ingress=row.requests_ingress,
            requests_egress_internal=row.requests_egress_internal,
            requests_egress_external=row.requests_egress_external,
            bytes_sent=int(row.bytes_sent),
            bytes_received=int(row.bytes_received),
        )
        yield HourRow(Source(row.account_id, row.environment_id), row.hour, counts)
