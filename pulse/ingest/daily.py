"""The quota of events a day, as the accounts above set it.

Counted where batches are known to be new, by the loader; asked for every few seconds, and what
this process took since then comes on top. What waits in the spool is not counted yet, so an
account may get somewhat more than its quota, never less.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final
from uuid import UUID

from pulse.errors import OverDailyQuota
from pulse.ingest.gateway import Allowance, Identity
from qcloud.kernel.clock import now

REFRESH_SECONDS: Final = 5.0
LONGEST_WAIT: Final = 900
"""Seconds; the quota may be raised before the day ends."""
_MOST: Final = 4_096
"""Accounts that are remembered."""

Ask = Callable[[Identity], Awaitable[tuple[Allowance, ...]]]


@dataclass(frozen=True)
class _Known:
    at: float
    day: date
    """UTC; what was used on another one says nothing."""
    allowances: tuple[Allowance, ...]


class DailyQuotas:
    """For one event loop. ``ask`` tells what holds for an account, from the database."""

    def __init__(self, ask: Ask, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._known: dict[UUID, _Known] = {}
        self._since: Counter[UUID] = Counter()

    async def check(self, identity: Identity) -> None:
        """Raises ``OverDailyQuota``, with the seconds after which to come back."""
        for allowance in await self._allowances(identity):
            if allowance.used + self._since[allowance.holder_id] >= allowance.limit:
                raise OverDailyQuota(
                    allowance.limit,
                    allowance.raised_by,
                    seconds=min(_until_midnight(), LONGEST_WAIT),
                )

    def took(self, account_id: UUID, events: int) -> None:
        """Count a batch that was stored."""
        known = self._known.get(account_id)
        for allowance in known.allowances if known else ():
            self._since[allowance.holder_id] += events

    async def _allowances(self, identity: Identity) -> tuple[Allowance, ...]:
        known = self._known.get(identity.account_id)
        today = now().date()
        if known is None or known.day != today or self._clock() - known.at > REFRESH_SECONDS:
            if len(self._known) >= _MOST:
                self._known.clear()
            known = _Known(self._clock(), today, await self._ask(identity))
            self._known[identity.account_id] = known
            for allowance in known.allowances:
                self._since.pop(allowance.holder_id, None)
        return known.allowances


def _until_midnight() -> int:
    moment = now()
    tomorrow = moment.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return max(1, round((tomorrow - moment).total_seconds()))
