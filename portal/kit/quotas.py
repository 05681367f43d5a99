"""Quotas as pages show them: what is set, what holds, what is in use."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from fleet.quotas import count_agents, count_environments
from identity.quotas import LABELS, Counter, Quota, count_accounts, count_staff, own_limits, within
from portal.kit.metering import Usage, usage_of
from qcloud.kernel.clock import now
from qcloud.kernel.scope import Scope, Tier

_COUNTERS: Final[dict[Quota, Counter]] = {
    Quota.ACCOUNTS: count_accounts,
    Quota.ENVIRONMENTS: count_environments,
    Quota.AGENTS: count_agents,
    Quota.STAFF: count_staff,
}
_NOTES: Final = {
    Quota.ACCOUNTS: "Accounts below it that are not closed.",
    Quota.ENVIRONMENTS: "Those that are not closed.",
    Quota.AGENTS: "Those in the inventory.",
    Quota.STAFF: "People who work for it.",
    Quota.EVENTS: "Counted since midnight UTC.",
}


@dataclass(frozen=True)
class QuotaLine:
    quota: Quota
    label: str
    note: str
    used: int
    limit: int | None
    """What holds; ``None``: nothing does."""
    set_to: int | None
    """What was set for this account; ``None``: the platform's default holds, if any."""

    @property
    def share(self) -> float:
        return self.used / self.limit if self.limit else float(self.limit == 0)

    @property
    def tone(self) -> str:
        if self.limit is None or self.share < 0.8:
            return ""
        return "danger" if self.share >= 1 else "warn"


def quota_lines(reader: Scope, place: Scope, set_to: dict[Quota, int | None]) -> list[QuotaLine]:
    """The quotas of the account ``place``, which the reader is or stands above."""
    holding = own_limits(place)
    accounts = within(place.path)
    shown = [q for q in Quota if q is not Quota.ACCOUNTS or place.tier is Tier.RESELLER]
    return [
        QuotaLine(
            quota,
            LABELS[quota],
            _NOTES[quota],
            _used(quota, reader, accounts),
            holding[quota].limit if quota in holding else None,
            set_to.get(quota),
        )
        for quota in shown
    ]


def _used(quota: Quota, reader: Scope, accounts: Collection[UUID]) -> int:
    if quota is not Quota.EVENTS:
        return _COUNTERS[quota](accounts)
    today = now().replace(hour=0, minute=0, second=0, microsecond=0)
    found = usage_of(reader, today, today + timedelta(days=1), accounts)
    return sum(found.values(), Usage()).requests
