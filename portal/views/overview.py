"""What needs attention now, for a reseller and for the provider."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from billing.selectors import InvoiceInfo, invoices
from identity.selectors import AccountInfo, children
from portal.door import page
from portal.here import Here
from portal.kit.metering import Usage, month_of, usage_by_account
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
class AccountRow:
    account: AccountInfo
    usage: Usage

    @property
    def id(self) -> UUID:
        return self.account.id


def account_rows(here: Here) -> list[AccountRow]:
    """Everything below the reader's account, parents before their children."""
    below = [info for info in children(here.scope) if info.state != "closed"]
    usage = usage_by_account(here.scope, *month_of(here.account.timezone))
    return [
        AccountRow(
            info,
            usage.get(info.id, Usage()) if info.tier is Tier.CUSTOMER else _sum(info, below, usage),
        )
        for info in below
    ]


def _sum(top: AccountInfo, below: list[AccountInfo], usage: dict[UUID, Usage]) -> Usage:
    parts = (usage[i.id] for i in below if i.path.startswith(top.path) and i.id in usage)
    return sum(parts, Usage())


@page(Permission.IDENTITY_ACCOUNT_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    rows = account_rows(here)
    customers = [row for row in rows if row.account.tier is Tier.CUSTOMER]
    ranked = sorted(customers, key=lambda row: row.usage.requests, reverse=True)[:10]
    top = max((row.usage.requests for row in ranked), default=0) or 1
    context = {
        "customers": customers,
        "resellers": [row for row in rows if row.account.tier is Tier.RESELLER],
        "usage": sum((row.usage for row in customers), Usage()),
        "month": month_of(here.account.timezone)[0],
        "ranked": [(row, row.usage.requests / top) for row in ranked if row.usage.requests],
        "notices": _notices(here, rows),
        "sales": _sales(here),
    }
    return render(request, "pages/overview_accounts.html", context)


def _notices(here: Here, rows: list[AccountRow]) -> list[Notice]:
    notices = [
        Notice(
            "warn",
            "pause",
            f"{row.account.name} is {row.account.state}.",
            here.url("account", row.id),
            "Open account",
        )
        for row in rows
        if row.account.state != "active"
    ]
    idle = [r for r in rows if r.account.tier is Tier.CUSTOMER and not r.usage.requests]
    if idle:
        names = ", ".join(row.account.name for row in idle[:3])
        more = f" and {len(idle) - 3} more" if len(idle) > 3 else ""
        notices.append(Notice("info", "info", f"No usage this month: {names}{more}."))
    return notices


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
