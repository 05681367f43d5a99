"""Counting usage: always whole hours, always from the events themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from pulse.store.client import Store
from pulse.store.filters import micros
from pulse.store.gate import ask_as_system

# Sums in 128 bits: an agent may report up to 2**63 bytes an event.
_COUNT: Final = """
SELECT
    environment_id,
    toStartOfHour(timestamp) AS hour,
    count(),
    countIf(direction = 'ingress'),
    countIf(direction = 'egress-internal'),
    countIf(direction = 'egress-external'),
    sum(toUInt128(bytes_sent)),
    sum(toUInt128(bytes_received))
FROM requests
WHERE account_id = {account:UUID}
    AND timestamp >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
    AND timestamp < fromUnixTimestamp64Micro({until:Int64}, 'UTC')
    AND (
        empty({hours:Array(UInt32)})
        OR toUInt32(toStartOfHour(timestamp)) IN {hours:Array(UInt32)}
    )
GROUP BY environment_id, hour
"""


@dataclass(frozen=True)
class HourCount:
    """What one environment of an account did in one hour."""

    environment_id: UUID
    hour: datetime
    requests: int
    requests_ingress: int
    requests_egress_internal: int
    requests_egress_external: int
    bytes_sent: int
    bytes_received: int


def count_range(
    account_id: UUID, since: datetime, until: datetime, *, store: Store | None = None
) -> list[HourCount]:
    """Every hour with events that begins in ``[since, until)``; both are whole hours."""
    return _count(account_id, since, until, [], store)


def count_hours(
    account_id: UUID, hours: Iterable[datetime], *, store: Store | None = None
) -> list[HourCount]:
    """The given hours, those without events left out."""
    chosen = sorted(hours)
    if not chosen:
        return []
    numbers = [int(hour.timestamp()) for hour in chosen]
    return _count(account_id, chosen[0], chosen[-1] + timedelta(hours=1), numbers, store)


def _count(
    account_id: UUID, since: datetime, until: datetime, hours: list[int], store: Store | None
) -> list[HourCount]:
    parameters = {
        "account": account_id,
        "since": micros(since),
        "until": micros(until),
        "hours": hours,
    }
    rows = ask_as_system("metering: count hours", _COUNT, parameters, store=store)
    return [HourCount(*row) for row in rows]
