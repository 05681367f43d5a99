"""Who works for the account, and who is asked to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render

from fleet.selectors import environments
from identity.selectors import InvitationInfo, StaffInfo, invitations, roles, staff
from identity.services import (
    invitation_create,
    invitation_resend,
    invitation_revoke,
    staff_remove,
    staff_role_set,
)
from portal.door import action, page
from portal.here import Here
from portal.kit import formats
from portal.kit.forms import Done, Failure, attempt, confirmed
from portal.kit.tables import Cell, Choice, Column, TableSpec, fetch_from, table
from portal.links import invitation_link
from qcloud.kernel.errors import Invalid, NotFound
from qcloud.kernel.permissions import Permission

_STATES: Final = (("member", "member"), ("inactive", "inactive"), ("open", "invited"),
                  ("expired", "invitation expired"))  # fmt: skip
_CELLS: Final = {
    "member": Cell("member", tone="ok", icon="check"),
    "inactive": Cell("inactive", tone="muted", icon="pause"),
    "open": Cell("invited", tone="info", icon="clock"),
    "expired": Cell("invitation expired", tone="warn", icon="warn"),
}

_FACTORS: Final = {
    "set up": Cell("set up", tone="ok", icon="check"),
    "none": Cell("none", tone="muted", icon="lock"),
}


@dataclass(frozen=True)
class Row:
    """A member, or somebody who is asked to become one."""

    id: UUID
    email: str
    name: str
    role: str
    environments: str
    state: str
    since: datetime
    last_seen: datetime | None
    factor: str
    is_invitation: bool


def _rows(here: Here) -> list[Row]:
    places = {e.id: e.name for e in environments(here.scope)} if here.portal == "c" else {}

    def where(limit: frozenset[UUID] | None) -> str:
        if limit is None:
            return "all"
        return ", ".join(sorted(places.get(i, "a closed one") for i in limit))

    members = [
        Row(s.user_id, s.email, s.name, s.role, where(s.environments),
            "member" if s.is_active else "inactive", s.since, s.last_login,
            "set up" if s.has_factor else "none", is_invitation=False)
        for s in staff(here.scope)
    ]  # fmt: skip
    asked = [
        Row(i.id, i.email, i.name, i.role, where(i.environments), i.state, i.sent_at, None,
            "", is_invitation=True)
        for i in invitations(here.scope)
        if i.state in _CELLS
    ]  # fmt: skip
    return members + asked


def _spec(here: Here, rows: list[Row]) -> TableSpec[Row]:
    names = sorted({row.role for row in rows})
    return TableSpec(
        name="staff",
        noun="people",
        sort="name",
        placeholder="Filter by name, address or role",
        choices=(
            Choice("role", "Role", tuple((n, n) for n in names)),
            Choice("state", "State", _STATES),
        ),
        columns=(
            Column("name", "Name", lambda r: r.name or r.email, lambda r: _name(here, r)),
            Column("email", "E-mail address", lambda r: r.email),
            Column("role", "Role", lambda r: r.role),
            Column(
                "environments",
                "Environments",
                lambda r: r.environments,
                shown=here.portal == "c",
            ),
            Column("state", "State", lambda r: r.state, lambda r: _CELLS[r.state]),
            Column(
                "factor",
                "Second factor",
                lambda r: r.factor,
                lambda r: _FACTORS.get(r.factor, Cell(formats.NONE)),
            ),
            Column(
                "last_seen",
                "Last sign-in",
                lambda r: r.last_seen,
                lambda r: Cell("", time=r.last_seen) if r.last_seen else Cell(formats.NONE),
            ),
            Column("since", "Since", lambda r: r.since, lambda r: Cell("", time=r.since)),
        ),
    )


def _name(here: Here, row: Row) -> Cell:
    page_of = "invited" if row.is_invitation else "person"
    return Cell(row.name or row.email, href=here.url(page_of, row.id))


@page(Permission.IDENTITY_STAFF_READ, post=Permission.IDENTITY_STAFF_WRITE)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    """The people; POST invites one."""
    failed = None
    if request.method == "POST":
        outcome = attempt(request, here.scope, "invite", lambda: _invite(request, here))
        if isinstance(outcome, Done):
            messages.success(request, f"An invitation is on its way to {outcome.result.email}.")
            return HttpResponseRedirect(here.url("staff"))
        failed = outcome
    rows = _rows(here)
    spec = _spec(here, rows)
    shown = table(
        request,
        spec,
        fetch_from(
            rows,
            spec,
            role=lambda r, wanted: r.role == wanted,
            state=lambda r, wanted: r.state == wanted,
        ),
    )
    if isinstance(shown, HttpResponseBase):
        return shown
    context = {"table": shown, "failed": failed, **_choices(request, here)}
    return render(request, "pages/staff.html", context, status=failed.status if failed else 200)


def _choices(request: HttpRequest, here: Here) -> dict[str, Any]:
    """Roles and environments; those that the reader cannot give are left out and counted."""
    known = roles(here.scope)
    fit = [role for role in known if role.permissions <= here.actor.permissions]
    places = environments(here.scope) if here.portal == "c" else []
    return {
        "role_options": [(r.key, r.name.title() if r.built_in else r.name) for r in fit],
        "locked": [r.name for r in known if r not in fit],
        "places": places,
        "chosen_places": request.POST.getlist("environment"),
        "may_write": here.may_write(Permission.IDENTITY_STAFF_WRITE),
    }


def _invite(request: HttpRequest, here: Here) -> InvitationInfo:
    return invitation_create(
        actor=here.actor,
        account_id=here.account.id,
        email=request.POST.get("email", ""),
        name=request.POST.get("name", ""),
        role=request.POST.get("role", ""),
        environments=_environments(request, here),
        link=invitation_link(request, here.account.tier),
    )


def _environments(request: HttpRequest, here: Here) -> list[UUID] | None:
    """``None``: the whole account. Only environments that there are."""
    if request.POST.get("limit", "") != "some":
        return None
    known = {str(place.id): place.id for place in environments(here.scope)}
    chosen = request.POST.getlist("environment")
    if any(text not in known for text in chosen):
        raise Invalid("Choose environments of this account.", fields={"environments": "Gone."})
    return [known[text] for text in chosen]


@page(Permission.IDENTITY_STAFF_READ, post=Permission.IDENTITY_STAFF_WRITE)
def person(request: HttpRequest, here: Here, user_id: UUID) -> HttpResponseBase:
    """One member; POST gives another role."""
    found = _member(here, user_id)
    if request.method != "POST":
        return _person(request, here, found, None)
    outcome = attempt(
        request,
        here.scope,
        "role",
        lambda: staff_role_set(
            actor=here.actor,
            account_id=here.account.id,
            user_id=user_id,
            role=request.POST.get("role", ""),
            environments=_environments(request, here),
        ),
    )
    if isinstance(outcome, Failure):
        return _person(request, here, found, outcome)
    messages.success(request, f"{found.name} is {outcome.result.role} from the next request on.")
    return HttpResponseRedirect(here.url("person", user_id))


def _member(here: Here, user_id: UUID) -> StaffInfo:
    for found in staff(here.scope):
        if found.user_id == user_id:
            return found
    raise NotFound("This person does not work for the account.")


def _person(
    request: HttpRequest, here: Here, found: StaffInfo, failed: Failure | None
) -> HttpResponseBase:
    choices = _choices(request, here)
    limit = found.environments
    if request.method != "POST" and limit is not None:
        choices["chosen_places"] = [str(i) for i in limit]
    context = {
        "person": found,
        "failed": failed,
        "limited": limit is not None,
        "places_of": [p.name for p in choices["places"] if limit is not None and p.id in limit],
        "crumbs": [("Staff", here.url("staff"))],
        **choices,
    }
    return render(request, "pages/person.html", context, status=failed.status if failed else 200)


@action(Permission.IDENTITY_STAFF_WRITE)
def remove(request: HttpRequest, here: Here, user_id: UUID) -> HttpResponseBase:
    found = _member(here, user_id)

    def change() -> None:
        confirmed(request, found.email)
        staff_remove(actor=here.actor, account_id=here.account.id, user_id=user_id)

    outcome = attempt(request, here.scope, "remove", change)
    if isinstance(outcome, Failure):
        return _person(request, here, found, outcome)
    messages.success(request, f"{found.name} does not work for {here.account.name} any more.")
    return HttpResponseRedirect(here.url("staff"))


@page(Permission.IDENTITY_STAFF_READ)
def invited(request: HttpRequest, here: Here, invitation_id: UUID) -> HttpResponseBase:
    return _invited(request, here, _asked(here, invitation_id), None)


def _asked(here: Here, invitation_id: UUID) -> InvitationInfo:
    for found in invitations(here.scope):
        if found.id == invitation_id:
            return found
    raise NotFound("There is no such invitation in this account.")


def _invited(
    request: HttpRequest, here: Here, found: InvitationInfo, failed: Failure | None
) -> HttpResponseBase:
    context = {
        "invitation": found,
        "failed": failed,
        "may_write": here.may_write(Permission.IDENTITY_STAFF_WRITE)
        and found.state in {"open", "expired"},
        "crumbs": [("Staff", here.url("staff"))],
    }
    return render(request, "pages/invited.html", context, status=failed.status if failed else 200)


@action(Permission.IDENTITY_STAFF_WRITE)
def resend(request: HttpRequest, here: Here, invitation_id: UUID) -> HttpResponseBase:
    outcome = attempt(
        request,
        here.scope,
        "resend",
        lambda: invitation_resend(
            actor=here.actor,
            account_id=here.account.id,
            invitation_id=invitation_id,
            link=invitation_link(request, here.account.tier),
        ),
    )
    if isinstance(outcome, Failure):
        return _invited(request, here, _asked(here, invitation_id), outcome)
    messages.success(request, f"Sent again to {outcome.result.email}; the old link is void.")
    return HttpResponseRedirect(here.url("invited", invitation_id))


@action(Permission.IDENTITY_STAFF_WRITE)
def revoke(request: HttpRequest, here: Here, invitation_id: UUID) -> HttpResponseBase:
    found = _asked(here, invitation_id)

    def change() -> InvitationInfo:
        confirmed(request, found.email)
        return invitation_revoke(
            actor=here.actor, account_id=here.account.id, invitation_id=invitation_id
        )

    outcome = attempt(request, here.scope, "revoke", change)
    if isinstance(outcome, Failure):
        return _invited(request, here, found, outcome)
    messages.success(request, f"The invitation of {found.email} is withdrawn.")
    return HttpResponseRedirect(here.url("staff"))
