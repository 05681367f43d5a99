"""Frozen usage as rating reads it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

from billing.rating.usage import Counts, HourRow, Source
from pulse.metering import FrozenUsage


def reference_of(invoice_id: UUID, revision: int) -> str:
    """Under which the usage of an invoice's revision is frozen."""
    return f"invoice {invoice_id} r{revision}"


def hours_of(frozen: FrozenUsage) -> Iterator[HourRow]:
    """The hours of a freeze, in its order."""
    for line in frozen.document.splitlines():
        environment, hour, *numbers = line.split(",")
        yield HourRow(
            Source(frozen.account_id, UUID(environment)),
            datetime.strptime(hour, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC),
            Counts(*map(int, numbers)),
        )
