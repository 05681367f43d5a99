"""One account below one's own: what it is, its quotas, its networks, its life."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render

from identity.directory import AccountFilter as Filter
from identity.directory import AccountState, account_state, accounts_page, customers_within
from identity.quotas import HIGHEST, Quota
from identity.services import (
    account_close,
    account_close_withdraw,
    account_profile_set,
    account_resume,
    account_suspend,
    allow_list_set,
    quotas_set,
)
from portal.door import action, page
from portal.here import Here
from portal.kit.forms import Done, Failure, attempt, confirmed
from portal.kit.metering import Usage, month_of, usage_of
from portal.kit.quotas import quota_lines
from portal.kit.tabs import Tab
from portal.views.accounts import STATES, zones
from qcloud.kernel.erasure import objections
from qcloud.kernel.errors import Invalid, NotFound
from qcloud.kernel.permissions import Permission
from qcloud.kernel.scope import Tier
from qcloud.kernel.settings.kinds import Limit

_LIMIT: Final = Limit(HIGHEST)
_TABS: Final = (
    ("account", "Overview"),
    ("account-quotas", "Quotas"),
    ("account-networks", "Networks"),
    ("account-lifecycle", "Lifecycle"),
)
_MOST_BELOW: Final = 20


@page(Permission.IDENTITY_ACCOUNT_READ, post=Permission.IDENTITY_ACCOUNT_WRITE)
def detail(request: HttpRequest, here: Here, account_id: UUID) -> HttpResponseBase:
    """What it is and uses; POST renames it."""
    state = _below(here, account_id)
    failed = None
    if request.method == "POST":
        outcome = attempt(
            request,
            here.scope,
            "profile",
            lambda: account_profile_set(
                actor=here.actor,
                account_id=account_id,
                name=request.POST.get("name", ""),
                timezone=request.POST.get("timezone", ""),
            ),
        )
        if isinstance(outcome, Done):
            return _done(request, here, "account", state, "was changed")
        failed = outcome
    return _page(
        request,
        here,
        "account",
        state,
        failed=failed,
        context=_overview(request, here, state, failed),
    )


def _overview(
    request: HttpRequest, here: Here, state: AccountState, failed: Failure | None
) -> dict[str, Any]:
    info = state.info
    since, until = month_of(here.account.timezone)
    inside = {one.id for one in customers_within(here.scope, [info.path])}
    usage = usage_of(here.scope, since, until, inside)
    below = accounts_page(here.scope, Filter(parent_id=info.id), sort="name", limit=_MOST_BELOW)
    may_write = here.may_write(Permission.IDENTITY_ACCOUNT_WRITE)
    wanted = may_write and (failed is not None or request.GET.get("dialog") == "profile")
    return {
        "usage": sum(usage.values(), Usage()),
        "month": since,
        "below": below,
        "may_write": may_write,
        "may_invoices": here.may(Permission.BILLING_INVOICE_READ),
        "zones": zones() if wanted else None,
    }


@page(Permission.IDENTITY_ACCOUNT_READ, post=Permission.IDENTITY_ACCOUNT_WRITE)
def quotas(request: HttpRequest, here: Here, account_id: UUID) -> HttpResponseBase:
    state = _below(here, account_id)
    failed = None
    if request.method == "POST":
        outcome = attempt(
            request,
            here.scope,
            "quotas",
            lambda: quotas_set(
                actor=here.actor, account_id=account_id, quotas=_quotas(request.POST)
            ),
        )
        if isinstance(outcome, Done):
            return _done(request, here, "account-quotas", state, "has these quotas now")
        failed = outcome
    lines = quota_lines(here.scope, state.info.scope, state.quotas)
    wrong = failed.fields if failed else {}
    may_write = here.may_write(Permission.IDENTITY_ACCOUNT_WRITE)
    context = {
        "in_use": lines,
        "fields": [
            (line, _typed(failed, line.quota, line.set_to), wrong.get(line.quota, ""))
            for line in lines
        ],
        "may_write": may_write,
        "fixed": not may_write,
        "shared": state.info.tier is Tier.RESELLER,
    }
    return _page(request, here, "account-quotas", state, failed=failed, context=context)


def _quotas(posted: Mapping[str, str]) -> dict[Quota, int | None]:
    """Raises ``Invalid`` naming the fields that are no numbers."""
    wanted, wrong = {}, {}
    for quota in Quota:
        text = posted.get(quota.value)
        if text is None:
            continue
        try:
            wanted[quota] = _LIMIT.parse(text)
        except ValueError as error:
            wrong[quota.value] = str(error)
    if wrong or not wanted:
        raise Invalid("The quotas were not changed.", fields=wrong)
    return wanted


def _typed(failed: Failure | None, quota: Quota, present: int | None) -> str:
    if failed is not None:
        return failed.values.get(quota.value, "")
    return "" if present is None else str(present)


@page(Permission.IDENTITY_ACCOUNT_READ, post=Permission.IDENTITY_ACCOUNT_WRITE)
def networks(request: HttpRequest, here: Here, account_id: UUID) -> HttpResponseBase:
    state = _below(here, account_id)
    failed = None
    if request.method == "POST":
        outcome = attempt(
            request,
            here.scope,
            "networks",
            lambda: allow_list_set(
                actor=here.actor,
                account_id=account_id,
                networks=request.POST.get("networks", ""),
            ),
        )
        if isinstance(outcome, Done):
            return _done(request, here, "account-networks", state, "has this list now")
        failed = outcome
    may_write = here.may_write(Permission.IDENTITY_ACCOUNT_WRITE)
    context = {
        "typed": failed.values.get("networks", "") if failed else state.info.allow_list,
        "may_write": may_write,
        "fixed": not may_write,
    }
    return _page(request, here, "account-networks", state, failed=failed, context=context)


@page(Permission.IDENTITY_ACCOUNT_READ)
def lifecycle(request: HttpRequest, here: Here, account_id: UUID) -> HttpResponseBase:
    return _lifecycle(request, here, _below(here, account_id), None)


def _lifecycle(
    request: HttpRequest, here: Here, state: AccountState, failed: Failure | None
) -> HttpResponseBase:
    context = {
        "may_suspend": here.may_write(Permission.IDENTITY_ACCOUNT_SUSPEND),
        "may_close": here.may_write(Permission.IDENTITY_ACCOUNT_CLOSE),
        "objections": objections(state.info.id),
    }
    return _page(request, here, "account-lifecycle", state, failed=failed, context=context)


@action(Permission.IDENTITY_ACCOUNT_SUSPEND)
def suspend(request: HttpRequest, here: Here, account_id: UUID) -> HttpResponseBase:
    return _switch(request, here, account_id, "suspend", account_suspend)


@action(Permission.IDENTITY_ACCOUNT_SUSPEND)
def resume(request: HttpRequest, here: Here, account_id: UUID) -> HttpResponseBase:
    return _switch(request, here, account_id, "resume", account_resume)


@action(Permission.IDENTITY_ACCOUNT_CLOSE)
def close(request: HttpRequest, here: Here, account_id: UUID) -> HttpResponseBase:
    return _switch(request, here, account_id, "close", account_close)


@action(Permission.IDENTITY_ACCOUNT_CLOSE)
def withdraw(request: HttpRequest, here: Here, account_id: UUID) -> HttpResponseBase:
    return _switch(request, here, account_id, "withdraw", account_close_withdraw)


def _switch(
    request: HttpRequest, here: Here, account_id: UUID, dialog: str, service: Callable[..., Any]
) -> HttpResponseBase:
    state = _below(here, account_id)
    needs_reason = dialog in {"suspend", "close"}

    def change() -> Any:
        confirmed(request, state.info.slug)
        reason = {"reason": request.POST.get("reason", "")} if needs_reason else {}
        return service(actor=here.actor, account_id=account_id, **reason)

    outcome = attempt(request, here.scope, dialog, change)
    if isinstance(outcome, Failure):
        return _lifecycle(request, here, state, outcome)
    messages.success(request, f"{state.info.name} is {outcome.result.state} now.")
    return HttpResponseRedirect(here.url("account-lifecycle", account_id))


def _below(here: Here, account_id: UUID) -> AccountState:
    found = account_state(here.scope, account_id)
    if found.info.id == here.account.id:
        raise NotFound("There is no such account below yours.")
    return found


def _page(
    request: HttpRequest,
    here: Here,
    tab: str,
    state: AccountState,
    *,
    failed: Failure | None,
    context: dict[str, Any],
) -> HttpResponseBase:
    tabs = [Tab(label, here.url(name, state.info.id), name == tab) for name, label in _TABS]
    everywhere = {
        "account": state.info,
        "standing": state,
        "state": STATES[state.info.state],
        "tabs": tabs,
        "failed": failed,
        "crumbs": [("Accounts", here.url("accounts"))]
        if here.portal == "admin"
        else [("Customers", here.url("customers"))],
    }
    status = failed.status if failed else 200
    return render(
        request, f"pages/{tab.replace('-', '_')}.html", everywhere | context, status=status
    )


def _done(
    request: HttpRequest, here: Here, tab: str, state: AccountState, words: str
) -> HttpResponseBase:
    messages.success(request, f"{state.info.name} {words}.")
    return HttpResponseRedirect(here.url(tab, state.info.id))
