"""The accounts below one's own: a reseller's customers, a provider's tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID
from zoneinfo import available_timezones

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render

from identity.directory import (
    AccountFilter,
    AccountLine,
    accounts_page,
    resellers,
)
from identity.selectors import AccountInfo
from identity.services import account_create, invitation_create
from portal.door import page
from portal.here import Here
from portal.kit import formats
from portal.kit.forms import Done, Failure, attempt
from portal.kit.metering import Usage, month_of, usage_of, usage_within
from portal.kit.tables import Cell, Choice, Column, Page, Query, TableSpec, table
from portal.links import invitation_link
from qcloud.kernel.errors import Invalid
from qcloud.kernel.permissions import Permission
from qcloud.kernel.scope import Tier

STATES: Final = {
    "active": Cell("active", tone="ok", icon="check"),
    "suspended": Cell("suspended", tone="warn", icon="pause"),
    "closing": Cell("closing", tone="danger", icon="close"),
    "erasing": Cell("erasing", tone="danger", icon="close"),
    "closed": Cell("closed", tone="muted", icon="lock"),
}
CURRENCIES: Final = (("EUR", "EUR"), ("USD", "USD"), ("GBP", "GBP"), ("CHF", "CHF"), ("JPY", "JPY"))
MOST_PARENTS: Final = 500


@dataclass(frozen=True)
class AccountRow:
    line: AccountLine
    usage: Usage

    @property
    def id(self) -> UUID:
        return self.line.info.id

    @property
    def account(self) -> AccountInfo:
        return self.line.info


def _spec(here: Here) -> TableSpec[AccountRow]:
    tree = here.account.tier is Tier.CLOUD
    return TableSpec(
        name="accounts" if tree else "customers",
        noun="accounts" if tree else "customers",
        sort="tree" if tree else "name",
        placeholder="Filter by name",
        choices=(
            Choice("state", "State", tuple((k, k) for k in STATES)),
            *(
                (Choice("tier", "Tier", (("reseller", "reseller"), ("customer", "customer"))),)
                if tree
                else ()
            ),
        ),
        columns=tuple(_columns(here, tree=tree)),
    )


def _columns(here: Here, *, tree: bool) -> list[Column[AccountRow]]:
    return [
        Column(
            "name",
            "Account" if tree else "Customer",
            lambda r: r.account.name,
            lambda r: Cell(
                r.account.name,
                href=here.url("account", r.id),
                indent=r.line.depth if tree else 0,
            ),
        ),
        Column("tier", "Tier", lambda r: r.account.tier.value, shown=tree),
        Column(
            "slug",
            "Short name",
            lambda r: r.account.slug,
            lambda r: Cell(r.account.slug, code=True),
        ),
        Column("state", "State", lambda r: r.account.state, lambda r: STATES[r.account.state]),
        Column(
            "requests",
            "Requests this month",
            lambda r: r.usage.requests,
            lambda r: Cell(formats.count(r.usage.requests)),
            number=True,
            sort=False,
        ),
        Column(
            "bytes",
            "Traffic this month",
            lambda r: r.usage.bytes,
            lambda r: Cell(formats.size(r.usage.bytes)),
            number=True,
            sort=False,
        ),
        Column("parent", "Below", lambda r: r.line.parent_name, shown=tree),
        Column("currency", "Currency", lambda r: r.account.currency),
        Column("timezone", "Time zone", lambda r: r.account.timezone, shown=False),
        Column(
            "created",
            "Created",
            lambda r: r.line.created_at,
            lambda r: Cell("", time=r.line.created_at),
            shown=False,
        ),
        # Sorts the list as a tree until the reader chooses a column.
        *([Column[AccountRow]("tree", "", lambda _: "", shown=False, exported=False)] * tree),
    ]


def _fetch(here: Here, query: Query, cursor: str, limit: int) -> Page[AccountRow]:
    found = accounts_page(
        here.scope,
        AccountFilter(
            text=query.text,
            state=query.filters.get("state", ""),
            tier=query.filters.get("tier", ""),
        ),
        sort=query.sort,
        descending=query.descending,
        cursor=cursor,
        limit=limit,
    )
    usage = _usage(here, [line.info for line in found.lines])
    rows = [AccountRow(line, usage[line.info.id]) for line in found.lines]
    return Page(rows, found.next_cursor, found.total)


def _usage(here: Here, shown: list[AccountInfo]) -> dict[UUID, Usage]:
    """What these accounts used this month; a reseller's is what its customers did."""
    month = month_of(here.account.timezone)
    own = [info.id for info in shown if info.tier is Tier.CUSTOMER]
    sellers = {info.path: info.id for info in shown if info.tier is Tier.RESELLER}
    found = usage_of(here.scope, *month, own) | usage_within(here.scope, *month, sellers)
    return {info.id: found.get(info.id, Usage()) for info in shown}


@page(Permission.IDENTITY_ACCOUNT_READ, post=Permission.IDENTITY_ACCOUNT_CREATE)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    """The list; POST creates an account and its first owner."""
    failed = None
    if request.method == "POST":
        outcome = attempt(request, here.scope, "create", lambda: _create(request, here))
        if isinstance(outcome, Done):
            messages.success(request, f"{outcome.result.name} was created.")
            return HttpResponseRedirect(here.url("account", outcome.result.id))
        failed = outcome
    shown = table(
        request, _spec(here), lambda query, cursor, limit: _fetch(here, query, cursor, limit)
    )
    if isinstance(shown, HttpResponseBase):
        return shown
    return _list(request, here, shown, failed)


def _list(
    request: HttpRequest, here: Here, shown: object, failed: Failure | None
) -> HttpResponseBase:
    may_create = here.may_write(Permission.IDENTITY_ACCOUNT_CREATE)
    wanted = may_create and (failed is not None or request.GET.get("dialog") == "create")
    context = {
        "table": shown,
        "failed": failed,
        "may_create": may_create,
        # Six hundred time zones and every reseller: only for whoever opened the dialog.
        "choices": _choices(here) if wanted else None,
    }
    status = failed.status if failed else 200
    return render(request, "pages/accounts.html", context, status=status)


def _choices(here: Here) -> dict[str, Any]:
    """What the dialog for a new account offers."""
    is_cloud = here.account.tier is Tier.CLOUD
    parents = (
        (str(here.account.id), f"{here.account.name} (this account)"),
        *((str(i.id), i.name) for i in (resellers(here.scope, MOST_PARENTS) if is_cloud else ())),
    )
    return {
        "parents": parents if is_cloud else (),
        "tiers": (("reseller", "Reseller"), ("customer", "Customer")) if is_cloud else (),
        "currencies": CURRENCIES,
        "zones": zones(),
    }


def zones() -> tuple[tuple[str, str], ...]:
    """The names of the time zone database that people know, as options."""
    places = sorted(zone for zone in available_timezones() if "/" in zone)
    return tuple((zone, zone) for zone in ("UTC", *places))


def _create(request: HttpRequest, here: Here) -> AccountInfo:
    """The account and the invitation of its first owner, both or neither."""
    posted = request.POST
    is_cloud = here.account.tier is Tier.CLOUD
    wanted = posted.get("tier", "customer") if is_cloud else "customer"
    if wanted not in {"customer", "reseller"}:
        raise Invalid("Choose what kind of account.", fields={"tier": "Reseller or customer."})
    made = account_create(
        actor=here.actor,
        tier=Tier(wanted),
        name=posted.get("name", ""),
        slug=posted.get("slug", ""),
        parent_id=_parent(posted.get("parent", ""), here) if is_cloud else here.account.id,
        currency=posted.get("currency", ""),
        timezone=posted.get("timezone", ""),
    )
    invitation_create(
        actor=here.actor,
        account_id=made.id,
        email=posted.get("email", ""),
        name=posted.get("owner_name", ""),
        role="owner",
        link=invitation_link(request, made.tier),
    )
    return made


def _parent(text: str, here: Here) -> UUID:
    try:
        return UUID(text) if text else here.account.id
    except ValueError as error:
        raise Invalid("Choose the account above.", fields={"parent": "Choose one."}) from error
