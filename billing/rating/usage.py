"""Metered hours gathered into quantities, with a fingerprint that shows what was counted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from operator import attrgetter
from typing import Final
from uuid import UUID

from billing.errors import contradicting_usage


class Metric(StrEnum):
    """What a price counts. Each is a sum over metered hours."""

    REQUESTS = "requests"
    REQUESTS_INGRESS = "requests_ingress"
    REQUESTS_EGRESS_INTERNAL = "requests_egress_internal"
    REQUESTS_EGRESS_EXTERNAL = "requests_egress_external"
    BYTES = "bytes"
    """Sent and received together."""
    BYTES_SENT = "bytes_sent"
    BYTES_RECEIVED = "bytes_received"


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers of one metered hour, or the sum of many; all are whole and not negative."""

    requests: int = 0
    requests_ingress: int = 0
    requests_egress_internal: int = 0
    requests_egress_external: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, name) + getattr(other, name) for name in COUNTED))

    def of(self, metric: Metric) -> int:
        if metric is Metric.BYTES:
            return self.bytes_sent + self.bytes_received
        return int(getattr(self, metric.value))


COUNTED: Final = tuple(field.name for field in fields(Counts))
_numbers: Final = attrgetter(*COUNTED)


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """Whose traffic it is, and in which of its environments."""

    account_id: UUID
    environment_id: UUID


@dataclass(frozen=True, slots=True)
class HourRow:
    """One metered hour of one environment. ``hour`` is its first instant, in UTC."""

    source: Source
    hour: datetime
    counts: Counts


@dataclass(frozen=True, slots=True)
class Part:
    """The hours before some instant: their sum, and SHA-256 over the rows in order of time.

    Two digests are equal exactly when the rows are.
    """

    hours: int
    counts: Counts
    digest: str


_NO_USAGE: Final = Counts()
NOTHING: Final = Part(0, _NO_USAGE, hashlib.sha256().hexdigest())


@dataclass(frozen=True, slots=True)
class Gathered:
    """All hours of one environment in a period."""

    source: Source
    whole: Part
    before: tuple[Part, ...]
    """The part before each of the marks that ``gather`` was given, in their order."""


def gather(rows: Iterable[HourRow], marks: tuple[datetime, ...] = ()) -> dict[Source, Gathered]:
    """Sum and fingerprint rows by environment, whatever their order.

    A row given twice counts once; a row of zeros is as good as none. Raises ``Conflict``
    where two rows for the same hour disagree: no sum of them would be right.
    """
    by_source: dict[Source, dict[datetime, Counts]] = {}
    for row in rows:
        hours = by_source.setdefault(row.source, {})
        if hours.setdefault(row.hour, row.counts) != row.counts:
            raise contradicting_usage(
                row.source.account_id, row.source.environment_id, row.hour.isoformat()
            )
    counted = {source: _used(by_source[source]) for source in sorted(by_source)}
    return {source: _gathered(source, hours, marks) for source, hours in counted.items() if hours}


def _used(hours: Mapping[datetime, Counts]) -> dict[datetime, Counts]:
    """Metering writes zeros over an hour whose events are gone: what counts is no usage."""
    return {hour: counts for hour, counts in hours.items() if counts != _NO_USAGE}


def _gathered(
    source: Source, hours: Mapping[datetime, Counts], marks: tuple[datetime, ...]
) -> Gathered:
    running = hashlib.sha256()
    total, count = (0,) * len(COUNTED), 0
    before: dict[datetime, Part] = {}
    waiting = sorted(set(marks), reverse=True)
    for hour in sorted(hours):
        while waiting and hour >= waiting[-1]:
            before[waiting.pop()] = Part(count, Counts(*total), running.hexdigest())
        numbers = _numbers(hours[hour])
        running.update(_canonical(hour, numbers))
        total, count = tuple(map(int.__add__, total, numbers)), count + 1
    whole = Part(count, Counts(*total), running.hexdigest())
    return Gathered(source, whole, tuple(before.get(mark, whole) for mark in marks))


def _canonical(hour: datetime, numbers: tuple[int, ...]) -> bytes:
    stamp = hour.astimezone(UTC).strftime("%Y-%m-%dT%H")
    return f"{stamp} {' '.join(map(str, numbers))}\n".encode()


def digest_of(gathered: Iterable[Gathered]) -> str:
    """One fingerprint for all environments of an invoice."""
    whole = hashlib.sha256()
    for part in sorted(gathered, key=lambda part: part.source):
        source = part.source
        whole.update(f"{source.account_id} {source.environment_id} {part.whole.digest}\n".encode())
    return whole.hexdigest()
