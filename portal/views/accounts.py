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

from identity.selectors import AccountInfo, account, children
from identity.services import account_create, account_resume, account_suspend, invitation_create
from portal.door import action, page
from portal.here import Here
from portal.kit import formats
from portal.kit.forms import Done, Failure, attempt, confirmed
from portal.kit.metering import Usage, month_of, usage_by_account
from portal.kit.tables import Cell, Choice, Column, TableSpec, fetch_from, table
from portal.links import invitation_link
from qcloud.kernel.errors import Invalid, NotFound
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


@dataclass(frozen=True)
class AccountRow:
    account: AccountInfo
    usage: Usage
    depth: int
    parent_name: str

    @property
    def id(self) -> UUID:
        return self.account.id


def account_rows(here: Here) -> list[AccountRow]:
    """Everything below the reader's account, parents before their children."""
    below = children(here.scope)
    names = {info.id: info.name for info in below} | {here.account.id: here.account.name}
    usage = usage_by_account(here.scope, *month_of(here.account.timezone))
    base = here.account.path.count("/")
    return [
        AccountRow(
            info,
            usage.get(info.id, Usage()) if info.tier is Tier.CUSTOMER else _sum(info, below, usage),
            info.path.count("/") - base - 1,
            names.get(info.parent_id, "") if info.parent_id else "",
        )
        for info in below
    ]


def _sum(top: AccountInfo, below: list[AccountInfo], usage: dict[UUID, Usage]) -> Usage:
    parts = (usage[i.id] for i in below if i.path.startswith(top.path) and i.id in usage)
    return sum(parts, Usage())


def _spec(here: Here) -> TableSpec[AccountRow]:
    tree = here.account.tier is Tier.CLOUD
    return TableSpec(
        name="accounts" if tree else "customers",
        noun="accounts" if tree else "customers",
        sort="" if tree else "name",
        placeholder="Filter by name",
        choices=(
            Choice("state", "State", tuple((k, k) for k in STATES)),
            *(
                (Choice("tier", "Tier", (("reseller", "reseller"), ("customer", "customer"))),)
                if tree
                else ()
            ),
        ),
        columns=(
            Column(
                "name",
                "Account" if tree else "Customer",
                lambda r: r.account.name,
                lambda r: Cell(
                    r.account.name, href=here.url("account", r.id), indent=r.depth if tree else 0
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
            ),
            Column(
                "bytes",
                "Traffic this month",
                lambda r: r.usage.bytes,
                lambda r: Cell(formats.size(r.usage.bytes)),
                number=True,
            ),
            Column("parent", "Below", lambda r: r.parent_name, shown=tree),
            Column("currency", "Currency", lambda r: r.account.currency),
            Column("timezone", "Time zone", lambda r: r.account.timezone, shown=False),
        ),
    )


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
    rows = account_rows(here)
    spec = _spec(here)
    shown = table(
        request,
        spec,
        fetch_from(
            rows,
            spec,
            state=lambda r, value: r.account.state == value,
            tier=lambda r, value: r.account.tier.value == value,
        ),
    )
    if isinstance(shown, HttpResponseBase):
        return shown
    context = {
        "table": shown,
        "failed": failed,
        "may_create": here.may_write(Permission.IDENTITY_ACCOUNT_CREATE),
        **_choices(here),
    }
    status = failed.status if failed else 200
    return render(request, "pages/accounts.html", context, status=status)


def _choices(here: Here) -> dict[str, Any]:
    """What the dialog for a new account offers."""
    is_cloud = here.account.tier is Tier.CLOUD
    resellers = [i for i in children(here.scope) if i.tier is Tier.RESELLER] if is_cloud else []
    parents = (
        (str(here.account.id), f"{here.account.name} (this account)"),
        *((str(i.id), i.name) for i in resellers),
    )
    tiers = (("reseller", "Reseller"), ("customer", "Customer")) if is_cloud else ()
    return {
        "parents": parents if is_cloud else (),
        "tiers": tiers,
        "currencies": CURRENCIES,
        "zones": _zones(),
    }


def _zones() -> tuple[tuple[str, str], ...]:
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


@page(Permission.IDENTITY_ACCOUNT_READ)
def detail(request: HttpRequest, here: Here, account_id: UUID) -> HttpResponseBase:
    return _detail(request, here, account_id, None)


def _detail(
    request: HttpRequest, here: Here, account_id: UUID, failed: Failure | None
) -> HttpResponseBase:
    info = _below(here, account_id)
    since, until = month_of(here.account.timezone)
    usage = usage_by_account(here.scope, since, until)
    inside = [i for i in children(here.scope) if i.path.startswith(info.path)]
    context = {
        "account": info,
        "state": STATES[info.state],
        "usage": sum((usage[i.id] for i in inside if i.id in usage), Usage()),
        "month": since,
        "below": [i for i in inside if i.id != info.id],
        "failed": failed,
        "crumbs": [(("Accounts" if here.portal == "admin" else "Customers"), _list_url(here))],
        "may_suspend": here.may_write(Permission.IDENTITY_ACCOUNT_SUSPEND),
        "may_invoices": here.may(Permission.BILLING_INVOICE_READ),
    }
    return render(request, "pages/account.html", context, status=failed.status if failed else 200)


def _below(here: Here, account_id: UUID) -> AccountInfo:
    info = account(account_id)
    if info.id == here.account.id:
        raise NotFound("There is no such account below yours.")
    return info


def _list_url(here: Here) -> str:
    return here.url("accounts" if here.portal == "admin" else "customers")


@action(Permission.IDENTITY_ACCOUNT_SUSPEND)
def suspend(request: HttpRequest, here: Here, account_id: UUID) -> HttpResponseBase:
    info = _below(here, account_id)

    def change() -> AccountInfo:
        confirmed(request, info.slug)
        return account_suspend(
            actor=here.actor, account_id=account_id, reason=request.POST.get("reason", "")
        )

    return _switched(request, here, info, attempt(request, here.scope, "suspend", change))


@action(Permission.IDENTITY_ACCOUNT_SUSPEND)
def resume(request: HttpRequest, here: Here, account_id: UUID) -> HttpResponseBase:
    info = _below(here, account_id)

    def change() -> AccountInfo:
        confirmed(request, info.slug)
        return account_resume(actor=here.actor, account_id=account_id)

    return _switched(request, here, info, attempt(request, here.scope, "resume", change))


def _switched(
    request: HttpRequest, here: Here, info: AccountInfo, outcome: Done | Failure
) -> HttpResponseBase:
    if isinstance(outcome, Failure):
        return _detail(request, here, info.id, outcome)
    messages.success(request, f"{info.name} is {outcome.result.state} now.")
    return HttpResponseRedirect(here.url("account", info.id))
