"""Roles: the matrix of who may do what, and the roles that an account composes."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render

from identity.selectors import RoleInfo, roles
from identity.services import role_create, role_delete, role_update
from portal.door import action, page
from portal.here import Here
from portal.kit.forms import Done, Failure, attempt, confirmed
from portal.kit.tables import Cell, Column, TableSpec, fetch_from, table
from qcloud.kernel.errors import NotFound
from qcloud.kernel.permissions import TIER_PERMISSIONS, Permission


@dataclass(frozen=True)
class Right:
    """A row of the matrix: one permission of the tier, and which roles have it."""

    permission: Permission
    held: frozenset[str]
    """Keys of roles."""

    @property
    def id(self) -> str:
        return self.permission.value


@dataclass(frozen=True)
class Tick:
    """A permission in the form of a role."""

    name: str
    is_chosen: bool
    is_locked: bool
    """The editor lacks it, so cannot grant it."""


def _spec(known: list[RoleInfo]) -> TableSpec[Right]:
    return TableSpec(
        name="roles",
        noun="permissions",
        placeholder="Filter by permission",
        page_size=200,
        columns=(
            Column(
                "permission",
                "Permission",
                lambda r: r.permission.value,
                lambda r: Cell(r.permission.value, code=True),
            ),
            *(_column(role) for role in known),
        ),
    )


def _column(role: RoleInfo) -> Column[Right]:
    return Column(
        role.key,
        role.name.title() if role.built_in else role.name,
        lambda r: "yes" if role.key in r.held else "",
        lambda r: (
            Cell("yes", tone="ok", icon="check")
            if role.key in r.held
            else Cell("no", tone="muted", icon="minus")
        ),
    )


@page(Permission.IDENTITY_ROLE_READ, post=Permission.IDENTITY_ROLE_WRITE)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    """The matrix and the account's own roles; POST composes one."""
    failed = None
    if request.method == "POST":
        outcome = attempt(
            request,
            here.scope,
            "create",
            lambda: role_create(
                actor=here.actor,
                account_id=here.account.id,
                name=request.POST.get("name", ""),
                description=request.POST.get("description", ""),
                permissions=request.POST.getlist("permission"),
            ),
        )
        if isinstance(outcome, Done):
            messages.success(request, f"The role “{outcome.result.name}” was created.")
            return HttpResponseRedirect(here.url("role", outcome.result.key))
        failed = outcome
    known = roles(here.scope)
    spec = _spec(known)
    rights = [
        Right(p, frozenset(role.key for role in known if p in role.permissions))
        for p in sorted(TIER_PERMISSIONS[here.account.tier])
    ]
    shown = table(request, spec, fetch_from(rights, spec))
    if isinstance(shown, HttpResponseBase):
        return shown
    context = {
        "table": shown,
        "roles": known,
        "failed": failed,
        "ticks": _ticks(here, request.POST.getlist("permission")),
        "may_write": here.may_write(Permission.IDENTITY_ROLE_WRITE),
    }
    return render(request, "pages/roles.html", context, status=failed.status if failed else 200)


def _ticks(here: Here, chosen: list[str]) -> list[Tick]:
    allowed = sorted(TIER_PERMISSIONS[here.account.tier])
    return [Tick(p.value, p.value in chosen, not here.may(p)) for p in allowed]


@page(Permission.IDENTITY_ROLE_READ, post=Permission.IDENTITY_ROLE_WRITE)
def detail(request: HttpRequest, here: Here, role_id: UUID) -> HttpResponseBase:
    """One of the account's own roles; POST changes it for everybody who has it."""
    role = _own(here, role_id)
    if request.method != "POST":
        return _detail(request, here, role, None)
    outcome = attempt(
        request,
        here.scope,
        "change",
        lambda: role_update(
            actor=here.actor,
            account_id=here.account.id,
            role_id=role_id,
            name=request.POST.get("name", ""),
            description=request.POST.get("description", ""),
            permissions=request.POST.getlist("permission"),
        ),
    )
    if isinstance(outcome, Failure):
        return _detail(request, here, role, outcome)
    messages.success(request, f"“{outcome.result.name}” was changed, from the next request on.")
    return HttpResponseRedirect(here.url("role", role_id))


def _own(here: Here, role_id: UUID) -> RoleInfo:
    for role in roles(here.scope):
        if role.key == str(role_id):
            return role
    raise NotFound("There is no such role in this account.")


def _detail(
    request: HttpRequest, here: Here, role: RoleInfo, failed: Failure | None
) -> HttpResponseBase:
    again = failed is not None and failed.dialog == "change"
    present = [permission.value for permission in role.permissions]
    chosen = request.POST.getlist("permission") if again else present
    lacking = sorted(role.permissions - here.actor.permissions)
    others = [r for r in roles(here.scope) if r.key not in {role.key, "owner"}]
    context = {
        "role": role,
        "failed": failed,
        "ticks": _ticks(here, chosen),
        "lacking": lacking,
        "may_write": here.may_write(Permission.IDENTITY_ROLE_WRITE) and not lacking,
        "others": [("", "Nobody has it any more"), *((r.key, r.name) for r in others)],
        "crumbs": [("Roles", here.url("roles"))],
    }
    return render(request, "pages/role.html", context, status=failed.status if failed else 200)


@action(Permission.IDENTITY_ROLE_WRITE)
def delete(request: HttpRequest, here: Here, role_id: UUID) -> HttpResponseBase:
    role = _own(here, role_id)

    def change() -> None:
        confirmed(request, role.name)
        role_delete(
            actor=here.actor,
            account_id=here.account.id,
            role_id=role_id,
            move_to=request.POST.get("move_to", ""),
        )

    outcome = attempt(request, here.scope, "delete", change)
    if isinstance(outcome, Failure):
        return _detail(request, here, role, outcome)
    messages.success(request, f"The role “{role.name}” is gone.")
    return HttpResponseRedirect(here.url("roles"))
