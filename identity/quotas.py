"""How much of something an account may have: what is set, by whom, and what is left.

A quota is set by those above. A reseller's holds for itself and its customers together, so
one more agent of a customer must fit twice. Where nothing is set, a customer has the
platform's default limit and a reseller none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from identity import policies
from identity.models import Account, AccountState, Membership
from identity.standing import ids_on, path_end
from qcloud.kernel.scope import Scope, Tier, unscoped
from qcloud.kernel.settings import Setting, value


class Quota(StrEnum):
    ACCOUNTS = "accounts"
    ENVIRONMENTS = "environments"
    AGENTS = "agents"
    STAFF = "staff"
    EVENTS = "events"
    """A UTC day."""


LABELS: Final = {
    Quota.ACCOUNTS: "Customers",
    Quota.ENVIRONMENTS: "Environments",
    Quota.AGENTS: "Agents",
    Quota.STAFF: "Staff",
    Quota.EVENTS: "Events a day",
}
HIGHEST: Final = 1_000_000_000_000

Counter = Callable[[Collection[UUID]], int]
"""How many there are of these accounts, in the present transaction, past the tenant gate."""

_DEFAULTS: Final[dict[Quota, Setting[int | None]]] = {
    Quota.ACCOUNTS: policies.LIMIT_ACCOUNTS,
    Quota.ENVIRONMENTS: policies.LIMIT_ENVIRONMENTS,
    Quota.AGENTS: policies.LIMIT_AGENTS,
    Quota.STAFF: policies.LIMIT_STAFF,
    Quota.EVENTS: policies.LIMIT_EVENTS,
}
_WHOSE_DEFAULT: Final = dict.fromkeys(Quota, Tier.CUSTOMER) | {Quota.ACCOUNTS: Tier.RESELLER}


@dataclass(frozen=True)
class Limit:
    """That an account, with all below it, may have so many."""

    holder_id: UUID
    holder_path: str
    quota: Quota
    limit: int
    raised_by: str
    """Name of the account that can raise it."""
    is_own: bool
    """Of the account that was asked about, not of one above it."""


def limits(scope: Scope, quota: Quota) -> tuple[Limit, ...]:
    """What holds for the account, the topmost first; empty: no limit. Two queries."""
    with unscoped("quotas: those above an account limit it"):
        return _of(_line(scope), scope, quota)


def events_limits(scope: Scope) -> tuple[Limit, ...]:
    """For ingest: how many events a UTC day the account, and who shares with it, may send.

    Two small queries; ask again every few seconds, not for each batch.
    """
    return limits(scope, Quota.EVENTS)


def own_limits(scope: Scope) -> dict[Quota, Limit]:
    """The account's own limits, set or by default; those above it have theirs besides."""
    with unscoped("quotas: those above an account limit it"):
        rows = _line(scope)
        found = {quota: _of(rows, scope, quota) for quota in Quota}
    return {q: limit for q, every in found.items() for limit in every if limit.is_own}


def sharing(limit: Limit) -> list[UUID]:
    """The accounts that a limit counts together. In system mode."""
    return within(limit.holder_path)


def within(path: str) -> list[UUID]:
    """The account with this path and all below it. In system mode."""
    with unscoped("quotas: those above an account limit it"):
        below = Account.objects.filter(account_path__gte=path, account_path__lt=path_end(path))
        return list(below.values_list("id", flat=True))


def count_staff(accounts: Collection[UUID]) -> int:
    with unscoped("quotas: what the accounts that share one have"):
        found: int = Membership.objects.filter(account_id__in=accounts).count()
    return found


def count_accounts(accounts: Collection[UUID]) -> int:
    """The customers among them that are not erased."""
    with unscoped("quotas: what the accounts that share one have"):
        customers = Account.objects.filter(id__in=accounts, tier=Tier.CUSTOMER)
        found: int = customers.exclude(state=AccountState.CLOSED).count()
    return found


def count_everywhere() -> int:
    """Resellers and customers that are not erased, on the whole platform."""
    with unscoped("quotas: what the accounts that share one have"):
        accounts = Account.objects.exclude(tier=Tier.CLOUD)
        found: int = accounts.exclude(state=AccountState.CLOSED).count()
    return found


def _line(scope: Scope) -> list[Account]:
    return list(Account.objects.filter(id__in=ids_on(scope.path)).order_by("account_path"))


def _of(rows: list[Account], scope: Scope, quota: Quota) -> tuple[Limit, ...]:
    found = []
    for above, row in zip([None, *rows], rows, strict=False):
        most = _most(row, quota)
        if above is not None and most is not None:
            found.append(
                Limit(row.id, row.account_path, quota, most, above.name, row.id == scope.account_id)
            )
    return tuple(found)


def _most(row: Account, quota: Quota) -> int | None:
    own: int | None = getattr(row, f"quota_{quota}")
    if own is not None:
        return own
    return value(_DEFAULTS[quota]) if row.tier == _WHOSE_DEFAULT[quota] else None
