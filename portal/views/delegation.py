"""“View as”: starting it, ending it, and the account's own page of who looked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from audit.selectors import EntryFilter, EntryInfo, entries
from identity import policies
from identity.selectors import (
    DelegationInfo,
    GrantInfo,
    account,
    ancestors,
    delegation_grants,
    delegation_to,
    delegations,
)
from identity.services import (
    delegation_end,
    delegation_grant_create,
    delegation_grant_revoke,
    delegation_start,
)
from portal import guests
from portal.door import action, page
from portal.here import Here, home_of
from portal.kit import formats
from portal.kit.accounts import learn
from portal.kit.forms import Done, Failure, attempt, confirmed
from portal.kit.tables import Cell, Choice, Column, TableSpec, fetch_from, table
from portal.sessions import PREFIX_OF
from qcloud.kernel.errors import Invalid, NotFound
from qcloud.kernel.permissions import NEVER_DELEGATED, TIER_PERMISSIONS, Permission
from qcloud.kernel.settings import value

_STATES: Final = (("running", "running"), ("over", "over"))
_PAYLOAD: Final = "fleet.object.read"
_MOST: Final = 500


def _name(names: dict[UUID, str], account_id: UUID) -> str:
    return names.get(account_id, formats.NONE)


def _spec(here: Here, names: dict[UUID, str]) -> TableSpec[DelegationInfo]:
    return TableSpec(
        name="delegated-access",
        noun="looks",
        sort="-started",
        placeholder="Filter by person, reason or ticket",
        choices=(Choice("state", "State", _STATES),),
        columns=(
            Column(
                "person",
                "Who",
                lambda d: d.user_label,
                lambda d: Cell(d.user_label, href=here.url("delegated-look", d.id)),
            ),
            Column("home", "For", lambda d: d.home_name),
            Column(
                "account",
                "Looked into",
                lambda d: _name(names, d.account_id),
                shown=here.portal != "c",
            ),
            Column("reason", "Why", lambda d: d.reason),
            Column("ticket", "Ticket", lambda d: d.ticket),
            Column(
                "started", "From", lambda d: d.started_at, lambda d: Cell("", time=d.started_at)
            ),
            Column("until", "Until", lambda d: d.until, lambda d: Cell("", time=d.until)),
            Column("state", "State", lambda d: _state(d).text, _state),
        ),
    )


def _state(look: DelegationInfo) -> Cell:
    if look.is_running:
        return Cell("running", tone="warn", icon="clock")
    by = f"by {look.ended_by}" if look.ended_at else "its time was up"
    return Cell("over", tone="muted", icon="check", title=by)


@page(Permission.IDENTITY_DELEGATION_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    """Who looked, every payload that anyone opened, and what guests may do beyond looking."""
    return _index(request, here, None)


def _index(request: HttpRequest, here: Here, failed: Failure | None) -> HttpResponseBase:
    rows = delegations(here.scope)
    names = {here.account.id: here.account.name}
    learn(here, names, (look.account_id for look in rows))
    spec = _spec(here, names)
    shown = table(
        request,
        spec,
        fetch_from(rows, spec, state=lambda d, wanted: d.is_running == (wanted == "running")),
    )
    if isinstance(shown, HttpResponseBase):
        return shown
    above = ancestors(here.scope)
    context = {
        "table": shown,
        "failed": failed,
        "running": [look for look in rows if look.is_running],
        "payloads": _payloads(here) if here.portal == "c" else None,
        "grants": delegation_grants(here.scope) if above else None,
        "above": [(str(a.id), f"{a.name} ({a.tier.value})") for a in above],
        "grantable": _grantable(here),
        "may_grant": bool(above) and here.may_write(Permission.IDENTITY_DELEGATION_GRANT),
    }
    status = failed.status if failed else 200
    return render(request, "pages/delegated.html", context, status=status)


def _payloads(here: Here) -> tuple[EntryInfo, ...]:
    found = entries(here.scope, EntryFilter(action=_PAYLOAD, account_id=here.account.id), None, 50)
    return found.entries


def _grantable(here: Here) -> list[tuple[str, bool]]:
    """Permissions that guests can be given, and whether the reader has them."""
    allowed = TIER_PERMISSIONS[here.account.tier] - NEVER_DELEGATED
    return [(p.value, here.may(p)) for p in sorted(allowed)]


@page(Permission.IDENTITY_DELEGATION_READ)
def look(request: HttpRequest, here: Here, delegation_id: UUID) -> HttpResponseBase:
    """One look: which pages, which payloads, what was refused."""
    found = delegation_to(here.scope, delegation_id)
    seen = _seen(here, found)
    context = {
        "look": found,
        "state": _state(found),
        "pages": [e for e in seen if e.action == guests.VIEW],
        "others": [e for e in seen if e.action not in {guests.VIEW, _PAYLOAD}],
        "payloads": [e for e in seen if e.action == _PAYLOAD],
        "may_end": found.is_running and _may_end(here, found),
        "crumbs": [("Delegated access", here.url("delegated"))],
    }
    return render(request, "pages/delegated_look.html", context)


def _seen(here: Here, found: DelegationInfo) -> list[EntryInfo]:
    listed = entries(
        here.scope,
        EntryFilter(
            account_id=found.account_id,
            actor_id=found.user_id,
            since=found.started_at,
            until=found.until + timedelta(minutes=1),
        ),
        None,
        _MOST,
    )
    return [e for e in listed.entries if e.data.get("delegation") == str(found.id)]


def _may_end(here: Here, found: DelegationInfo) -> bool:
    if found.user_id == here.user_id:
        return True
    inside = found.account_id == here.account.id
    right = Permission.IDENTITY_DELEGATION_GRANT if inside else Permission.IDENTITY_DELEGATION_START
    return here.may_write(right)


@page(Permission.IDENTITY_DELEGATION_START, post=Permission.IDENTITY_DELEGATION_START)
def start(request: HttpRequest, here: Here, account_id: UUID) -> HttpResponseBase:
    """The form that asks why, and the way into the account."""
    target = account(account_id)
    if target.id == here.account.id:
        raise NotFound("There is no such account below yours.")
    failed = None
    if request.method == "POST":
        outcome = attempt(request, here.scope, "start", lambda: _start(request, here, target.id))
        if isinstance(outcome, Done):
            response = HttpResponseRedirect(home_of(target))
            guests.let_in(request, response, target)
            return response
        failed = outcome
    context = {
        "target": target,
        "failed": failed,
        "longest": value(policies.DELEGATION_LONGEST) // timedelta(minutes=1),
        "crumbs": [(target.name, here.url("account", target.id))],
    }
    status = failed.status if failed else 200
    return render(request, "pages/delegated_start.html", context, status=status)


def _start(request: HttpRequest, here: Here, account_id: UUID) -> DelegationInfo:
    minutes = request.POST.get("minutes", "")
    if not (minutes.isascii() and minutes.isdigit() and len(minutes) < 5):
        raise Invalid("Say for how long.", fields={"minutes": "A number of minutes."})
    return delegation_start(
        actor=here.actor,
        account_id=account_id,
        reason=request.POST.get("reason", ""),
        ticket=request.POST.get("ticket", ""),
        minutes=int(minutes),
    )


@action(Permission.IDENTITY_ACCOUNT_READ)
def end(request: HttpRequest, here: Here, delegation_id: UUID) -> HttpResponseBase:
    """By the guest itself, by the account that it looks into, or by staff above."""
    guest = here.guest
    outcome = attempt(
        request,
        here.scope,
        "end",
        lambda: delegation_end(actor=here.actor, delegation_id=delegation_id),
    )
    if guest is not None and guest.id == delegation_id:
        prefix = PREFIX_OF[guest.home.tier]
        own = () if prefix == "admin" else (guest.home_slug,)
        return HttpResponseRedirect(reverse(f"{prefix}:delegated-look", args=(*own, guest.id)))
    if isinstance(outcome, Failure):
        return _index(request, here, outcome)
    messages.success(request, f"{outcome.result.user_label} looks no longer.")
    return HttpResponseRedirect(here.url("delegated-look", delegation_id))


@action(Permission.IDENTITY_DELEGATION_GRANT)
def grant(request: HttpRequest, here: Here) -> HttpResponseBase:
    outcome = attempt(request, here.scope, "grant", lambda: _grant(request, here))
    if isinstance(outcome, Failure):
        return _index(request, here, outcome)
    messages.success(request, f"Guests from {outcome.result.grantee_name} may do more now.")
    return HttpResponseRedirect(here.url("delegated"))


def _grant(request: HttpRequest, here: Here) -> GrantInfo:
    return delegation_grant_create(
        actor=here.actor,
        grantee_id=_id(request.POST.get("grantee", "")),
        permissions=request.POST.getlist("permission"),
        ends_at=_day(request.POST.get("ends", "")),
        reason=request.POST.get("reason", ""),
    )


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Invalid("Choose an account.", fields={"grantee": "Choose one."}) from error


def _day(text: str) -> datetime:
    """The end of that day, UTC."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)
    except (OverflowError, ValueError) as error:
        raise Invalid("The grant needs an end.", fields={"ends_at": "A day."}) from error


@action(Permission.IDENTITY_DELEGATION_GRANT)
def grant_revoke(request: HttpRequest, here: Here, grant_id: UUID) -> HttpResponseBase:
    known = {info.id: info for info in delegation_grants(here.scope)}
    if grant_id not in known:
        raise NotFound("There is no such grant in this account.")

    def change() -> GrantInfo:
        confirmed(request, known[grant_id].grantee_name)
        return delegation_grant_revoke(actor=here.actor, grant_id=grant_id)

    outcome: Any = attempt(request, here.scope, f"revoke-{grant_id}", change)
    if isinstance(outcome, Failure):
        return _index(request, here, outcome)
    messages.success(request, f"Guests from {outcome.result.grantee_name} only look again.")
    return HttpResponseRedirect(here.url("delegated"))
