"""What needs attention now, for a reseller and for the provider."""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from billing.selectors import InvoiceInfo, invoices
from identity.directory import (
    AccountFilter,
    accounts_counted,
    accounts_named,
    accounts_page,
)
from portal.door import page
from portal.here import Here
from portal.kit.metering import Usage, month_of
from pulse.metering import UsageRanking, usage_ranking
from qcloud.kernel.money import format_amount
from qcloud.kernel.permissions import Permission
from qcloud.kernel.scope import Tier


@dataclass(frozen=True)
class Notice:
    """One thing that needs somebody."""

    tone: str
    icon: str
    text: str
    href: str = ""
    link: str = ""


@dataclass(frozen=True)
class Ranked:
    account_id: UUID
    name: str
    requests: int
    share: float
    """Of the first one's."""


MOST: Final = 10
_OFF: Final = ("suspended", "closing", "erasing")


@page(Permission.IDENTITY_ACCOUNT_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    counted = accounts_counted(here.scope)
    customers = sum(n for (tier, _), n in counted.items() if tier is Tier.CUSTOMER)
    month = month_of(here.account.timezone)
    used = usage_ranking(here.scope, *month, MOST)
    context = {
        "customers": customers,
        "resellers": sum(n for (tier, _), n in counted.items() if tier is Tier.RESELLER),
        "usage": Usage(*(getattr(used.total, f.name) for f in fields(Usage))),
        "month": month[0],
        "ranked": _ranked(here, used),
        "notices": _notices(here, counted, idle=max(customers - used.accounts, 0)),
        "sales": _sales(here),
    }
    return render(request, "pages/overview_accounts.html", context)


def _ranked(here: Here, used: UsageRanking) -> list[Ranked]:
    names = accounts_named(here.scope, [one.account_id for one in used.first])
    top = max((one.requests for one in used.first), default=0) or 1
    return [
        Ranked(one.account_id, names[one.account_id], one.requests, one.requests / top)
        for one in used.first
        if one.requests and one.account_id in names
    ]


def _notices(here: Here, counted: dict[tuple[Tier, str], int], *, idle: int) -> list[Notice]:
    notices = []
    for state in _OFF:
        total = sum(n for (_, found), n in counted.items() if found == state)
        if total:
            notices += _off(here, state, total)
    if idle:
        who = "One customer has" if idle == 1 else f"{idle:,} customers have"
        notices.append(Notice("info", "info", f"{who} no usage this month."))
    return notices


def _off(here: Here, state: str, total: int) -> list[Notice]:
    """Each by name where they are few, else how many and where to find them."""
    if total > MOST:
        accounts = here.url("accounts" if here.portal == "admin" else "customers")
        text = f"{total:,} accounts are {state}."
        return [Notice("warn", "pause", text, f"{accounts}?f.state={state}", "Show them")]
    found = accounts_page(here.scope, AccountFilter(state=state), sort="name", limit=MOST)
    return [
        Notice(
            "warn",
            "pause",
            f"{line.info.name} is {state}.",
            here.url("account", line.info.id),
            "Open account",
        )
        for line in found.lines
    ]


def _sales(here: Here) -> list[tuple[str, str, int]]:
    """Totals of this account's newest drafts, a currency each: month, sum, how many."""
    if not here.may(Permission.BILLING_INVOICE_READ):
        return []
    newest: list[InvoiceInfo] = list(
        invoices(here.scope, side="sales", sort="-period", limit=200).rows
    )
    if not newest:
        return []
    period = newest[0].period
    sums: dict[str, tuple[Decimal, int]] = {}
    for row in newest:
        if row.period == period:
            total, n = sums.get(row.currency, (Decimal(0), 0))
            sums[row.currency] = (total + row.total, n + 1)
    return [(period, format_amount(total, currency), n) for currency, (total, n) in sums.items()]
