"""How much one account may send: a token bucket of bytes for each, in this process.

A bucket holds what ``burst`` seconds of the rate give. A batch is let in while anything is
left and may take the bucket below zero, so that every batch within the protocol's limits
passes sooner or later, however small the rate.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from pulse.errors import OverQuota

BURST_SECONDS: Final = 10.0
_SWEEP: Final = 1_024
"""Accounts after which buckets that are full again are forgotten."""


@dataclass
class _Bucket:
    left: float
    at: float


class Quotas:
    """For one event loop. ``rate``: bytes a second as sent, of each account; 0: no limit."""

    def __init__(self, rate: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._buckets: dict[UUID, _Bucket] = {}

    def check(self, account_id: UUID) -> None:
        """Raises ``OverQuota``, with the seconds after which there is something left again."""
        if not self._rate:
            return
        bucket = self._filled(account_id)
        if bucket.left <= 0:
            raise OverQuota(self._rate, seconds=max(1, round(-bucket.left / self._rate + 0.5)))

    def take(self, account_id: UUID, size: int) -> None:
        """Count a body that was read, whatever became of it: reading it was the work."""
        if self._rate:
            self._filled(account_id).left -= size

    def _filled(self, account_id: UUID) -> _Bucket:
        moment, most = self._clock(), self._rate * BURST_SECONDS
        bucket = self._buckets.get(account_id)
        if bucket is None:
            self._sweep(moment)
            bucket = self._buckets[account_id] = _Bucket(most, moment)
        bucket.left = min(most, bucket.left + (moment - bucket.at) * self._rate)
        bucket.at = moment
        return bucket

    def _sweep(self, moment: float) -> None:
        if len(self._buckets) < _SWEEP:
            return
        idle = [
            account
            for account, bucket in self._buckets.items()
            if bucket.left + (moment - bucket.at) * self._rate >= self._rate * BURST_SECONDS
        ]
        for account in idle:
            del self._buckets[account]

    def __len__(self) -> int:
        """Accounts that are watched."""
        return len(self._buckets)
