"""The accounts below one's own, a page at a time: the database filters, sorts and pages."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Case, Count, F, Q, QuerySet, Value, When
from django.db.models.functions import Lower

from identity.models import Account
from identity.quotas import Quota
from identity.selectors import AccountInfo, account_info
from identity.standing import path_end
from qcloud.kernel.errors import NotFound
from qcloud.kernel.scope import Scope, Tier, scoped

SORTS: Final[dict[str, tuple[str, ...]]] = {
    "tree": ("top_name", "top_id", "is_below", "sort_name", "id"),
    "name": ("sort_name", "id"),
    "slug": ("slug",),
    "tier": ("tier", "sort_name", "id"),
    "state": ("state", "sort_name", "id"),
    "parent": ("parent_name", "sort_name", "id"),
    "currency": ("currency", "sort_name", "id"),
    "timezone": ("timezone", "sort_name", "id"),
    "created": ("created_at", "id"),
}
"""By name, the columns that order it; the last makes the order total."""


@dataclass(frozen=True)
class AccountFilter:
    """Empty fields do not filter; accounts that are closed are shown to who asks for them."""

    text: str = ""
    """Words; each must stand in the name or the short name."""
    state: str = ""
    tier: str = ""
    parent_id: UUID | None = None


@dataclass(frozen=True)
class AccountLine:
    info: AccountInfo
    parent_name: str
    depth: int
    """Below the scope's own account: 0 or 1."""
    created_at: datetime
    erase_at: datetime | None


@dataclass(frozen=True)
class AccountPage:
    lines: tuple[AccountLine, ...]
    next_cursor: str
    """Empty: this was the last page."""
    total: int
    """Of the whole filter."""


@dataclass(frozen=True)
class AccountState:
    """What the page of one account says beside its names."""

    info: AccountInfo
    parent_name: str
    since: datetime | None
    by: str
    reason: str
    erase_at: datetime | None
    created_at: datetime
    quotas: dict[Quota, int | None]
    """As they are set; ``None``: not at all."""


def accounts_page(
    scope: Scope,
    filters: AccountFilter | None = None,
    *,
    sort: str = "tree",
    descending: bool = False,
    cursor: str = "",
    limit: int = 50,
) -> AccountPage:
    """``limit`` accounts below the scope's own, after the one that ``cursor`` names.

    ``sort`` is a key of ``SORTS``. A cursor whose account has gone starts at the beginning.
    """
    order = SORTS[sort]
    with scoped(scope):
        found = _filtered(scope, filters or AccountFilter())
        total = found.count()
        ordered = _annotated(found, scope, order)
        after = _position(_annotated(_all(scope), scope, order), order, cursor)
        if after is not None:
            ordered = ordered.filter(_after(order, after, descending=descending))
        signs = [f"-{name}" if descending else name for name in order]
        rows = list(ordered.order_by(*signs)[: limit + 1])
        names = accounts_named(scope, [row.parent_id for row in rows if row.parent_id])
    lines = tuple(_line(scope, row, names) for row in rows[:limit])
    return AccountPage(lines, str(lines[-1].info.id) if len(rows) > limit else "", total)


def accounts_counted(scope: Scope) -> dict[tuple[Tier, str], int]:
    """How many there are below the scope's account, by tier and state; closed ones are not."""
    with scoped(scope):
        rows = _filtered(scope, AccountFilter()).values("tier", "state").annotate(n=Count("id"))
        return {(Tier(row["tier"]), row["state"]): row["n"] for row in rows}


def accounts_named(scope: Scope, ids: Iterable[UUID]) -> dict[UUID, str]:
    """Names of those of the ids that lie below the scope's account or are it."""
    with scoped(scope):
        found = Account.objects.filter(id__in=set(ids)).values_list("id", "name")
        return dict(found)


def customers_within(scope: Scope, paths: Collection[str]) -> list[AccountInfo]:
    """The customers among the accounts with these paths, and below them."""
    if not paths:
        return []
    wanted = Q()
    for path in paths:
        wanted |= Q(account_path__gte=path, account_path__lt=path_end(path))
    with scoped(scope):
        rows = Account.objects.filter(wanted, tier=Tier.CUSTOMER)
        return [account_info(row) for row in rows]


def resellers(scope: Scope, limit: int) -> list[AccountInfo]:
    """The first active ones below the provider by name, to choose among."""
    with scoped(scope):
        rows = Account.objects.filter(tier=Tier.RESELLER, state="active").order_by(Lower("name"))
        return [account_info(row) for row in rows[:limit]]


def account_state(scope: Scope, account_id: UUID) -> AccountState:
    """An account as it stands: the scope's own or one below it. Raises ``NotFound``."""
    with scoped(scope):
        row = Account.objects.select_related("parent").filter(id=account_id).first()
    if row is None:
        raise NotFound("There is no such account, or it is not below yours.")
    return AccountState(
        info=account_info(row),
        # Row-level security hides a parent above the scope's own account.
        parent_name=row.parent.name if row.parent else "",
        since=row.state_since,
        by=row.state_by,
        reason=row.state_reason,
        erase_at=row.erase_at,
        created_at=row.created_at,
        quotas={quota: getattr(row, f"quota_{quota}") for quota in Quota},
    )


def _all(scope: Scope) -> QuerySet[Account]:
    """The range of paths lets the database use the index; the policies hold in any case."""
    found: QuerySet[Account] = Account.objects.filter(
        account_path__gt=scope.path, account_path__lt=path_end(scope.path)
    )
    return found


def _filtered(scope: Scope, filters: AccountFilter) -> QuerySet[Account]:
    found = _all(scope)
    for word in filters.text.split():
        found = found.filter(Q(name__icontains=word) | Q(slug__icontains=word))
    if not filters.state:
        found = found.exclude(state="closed")
    exact = {"state": filters.state, "tier": filters.tier, "parent_id": filters.parent_id}
    return found.filter(**{name: wanted for name, wanted in exact.items() if wanted})


def _annotated(found: QuerySet[Account], scope: Scope, order: tuple[str, ...]) -> QuerySet[Account]:
    """Only what the order needs: each parent that is looked at costs a join of every row."""
    direct = When(parent_id=scope.account_id, then=Value(0))
    own_top = When(parent_id=scope.account_id, then=Lower("name"))
    columns = {
        "sort_name": Lower("name"),
        "parent_name": Lower("parent__name"),
        "is_below": Case(direct, default=Value(1)),
        "top_name": Case(own_top, default=Lower("parent__name")),
        "top_id": Case(When(parent_id=scope.account_id, then=F("id")), default=F("parent_id")),
    }
    return found.annotate(**{name: columns[name] for name in order if name in columns})


def _position(
    found: QuerySet[Account], order: tuple[str, ...], cursor: str
) -> tuple[Any, ...] | None:
    try:
        wanted = UUID(cursor)
    except ValueError:
        return None
    row = found.filter(id=wanted).values_list(*order).first()
    return None if row is None else tuple(row)


def _after(order: tuple[str, ...], values: tuple[Any, ...], *, descending: bool) -> Q:
    """Behind these values in the order of the columns, the first of them first."""
    relation = "lt" if descending else "gt"
    behind = Q()
    for place, (name, value) in enumerate(zip(order, values, strict=True)):
        equal = dict(zip(order[:place], values[:place], strict=True))
        behind |= Q(**equal, **{f"{name}__{relation}": value})
    return behind


def _line(scope: Scope, row: Account, names: dict[UUID, str]) -> AccountLine:
    return AccountLine(
        info=account_info(row),
        parent_name=names.get(row.parent_id, "") if row.parent_id else "",
        depth=int(row.parent_id != scope.account_id),
        created_at=row.created_at,
        erase_at=row.erase_at,
    )
