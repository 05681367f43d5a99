"""Environments: their tokens, their capture level, their object store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render

from fleet.selectors import (
    AgentInfo,
    EnvironmentInfo,
    ObjectStoreInfo,
    TokenInfo,
    agents,
    environment,
    environments,
    object_store_of,
    registration_tokens,
)
from fleet.services import (
    environment_create,
    registration_token_create,
    registration_token_reveal,
    registration_token_revoke,
)
from portal.door import action, page
from portal.here import Here
from portal.kit import formats
from portal.kit.forms import Done, Failure, attempt, confirmed
from portal.kit.tables import Cell, Choice, Column, TableSpec, fetch_from, table
from qcloud.kernel.errors import NotFound
from qcloud.kernel.permissions import Permission
from wire.objects import ACCESS_URL_FIELDS

LEVELS: Final = (
    ("full", "Headers and bodies"),
    ("headers", "Headers only"),
    ("summary", "Request line and status only"),
    ("none", "Nothing"),
)


ACCESS_HELP: Final = "Template with " + ", ".join(f"{{{{{name}}}}}" for name in ACCESS_URL_FIELDS)


@dataclass(frozen=True)
class _Row:
    environment: EnvironmentInfo
    store: ObjectStoreInfo | None
    agents: list[AgentInfo]

    @property
    def id(self) -> UUID:
        return self.environment.id

    @property
    def last_heard(self) -> Any:
        return max((a.last_heartbeat_at for a in self.agents if a.last_heartbeat_at), default=None)


def _spec(here: Here) -> TableSpec[_Row]:
    levels = dict(LEVELS)
    return TableSpec(
        name="environments",
        noun="environments",
        sort="name",
        columns=(
            Column(
                "name",
                "Environment",
                lambda r: r.environment.name,
                lambda r: Cell(r.environment.name, href=here.url("environment", r.id)),
            ),
            Column("slug", "Short name", lambda r: r.environment.slug),
            Column(
                "capture",
                "Kept of payloads",
                lambda r: r.environment.capture_level if r.store else "none",
                lambda r: _kept(r, levels),
            ),
            Column("agents", "Agents", lambda r: len(r.agents), number=True),
            Column(
                "heard",
                "Last heard",
                lambda r: r.last_heard,
                lambda r: Cell("", time=r.last_heard) if r.last_heard else Cell("never"),
            ),
            Column(
                "created",
                "Created",
                lambda r: r.environment.created_at,
                lambda r: Cell("", time=r.environment.created_at),
                shown=False,
            ),
        ),
    )


def _kept(row: _Row, levels: dict[str, str]) -> Cell:
    if row.store is None:
        return Cell("Nothing: no object store", tone="warn", icon="lock")
    return Cell(levels.get(row.environment.capture_level, row.environment.capture_level))


@page(Permission.FLEET_ENVIRONMENT_READ, post=Permission.FLEET_ENVIRONMENT_WRITE)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    """The account's environments; POST creates one."""
    failed: Failure | None = None
    if request.method == "POST":
        outcome = attempt(
            request,
            here.scope,
            "create",
            lambda: environment_create(
                actor=here.actor,
                name=request.POST.get("name", ""),
                slug=request.POST.get("slug", ""),
            ),
        )
        if isinstance(outcome, Done):
            messages.success(request, f"{outcome.result.name} was created.")
            return HttpResponseRedirect(here.url("environment", outcome.result.id))
        failed = outcome
    return _list(request, here, failed)


def _list(request: HttpRequest, here: Here, failed: Failure | None) -> HttpResponseBase:
    by_environment: dict[UUID, list[AgentInfo]] = {}
    for agent in agents(here.scope):
        by_environment.setdefault(agent.environment_id, []).append(agent)
    rows = [
        _Row(row, object_store_of(row.id), by_environment.get(row.id, []))
        for row in environments(here.scope)
    ]
    spec = _spec(here)
    shown = table(request, spec, fetch_from(rows, spec))
    if isinstance(shown, HttpResponseBase):
        return shown
    context = {
        "table": shown,
        "failed": failed,
        "may_write": here.may_write(Permission.FLEET_ENVIRONMENT_WRITE),
    }
    status = failed.status if failed else 200
    return render(request, "pages/environments.html", context, status=status)


@page(Permission.FLEET_ENVIRONMENT_READ)
def detail(request: HttpRequest, here: Here, environment_id: UUID) -> HttpResponseBase:
    return show(request, here, environment_id, None)


def _token_spec(here: Here) -> TableSpec[TokenInfo]:
    may_revoke = here.may_write(Permission.FLEET_TOKEN_REVOKE)
    may_reveal = here.may_write(Permission.FLEET_TOKEN_REVEAL)
    return TableSpec(
        name="tokens",
        noun="tokens",
        sort="-created",
        choices=(Choice("state", "State", (("active", "active"), ("revoked", "revoked"))),),
        columns=(
            Column("name", "Token", lambda t: t.name),
            Column(
                "last_four",
                "Ends in",
                lambda t: t.last_four,
                lambda t: Cell(f"…{t.last_four}", code=True),
                sort=False,
            ),
            Column("state", "State", _state, _state_cell),
            Column(
                "created", "Created", lambda t: t.created_at, lambda t: Cell("", time=t.created_at)
            ),
            Column("created_by", "By", lambda t: t.created_by),
            Column(
                "used",
                "Last used",
                lambda t: t.last_used_at,
                lambda t: Cell("", time=t.last_used_at) if t.last_used_at else Cell("never"),
            ),
            Column(
                "again",
                "Copy",
                lambda _token: "",
                lambda t: (
                    Cell("Copy again", form=f"reveal-{t.id}")
                    if may_reveal and t.kept and not t.revoked_at
                    else Cell("")
                ),
                sort=False,
                exported=False,
            ),
            Column(
                "act",
                "Action",
                lambda _token: "",
                lambda t: (
                    Cell("Revoke", form=f"revoke-{t.id}", tone="danger")
                    if may_revoke and not t.revoked_at
                    else Cell("")
                ),
                sort=False,
                exported=False,
            ),
        ),
    )


def _state(token: TokenInfo) -> str:
    return "revoked" if token.revoked_at else "active"


def _state_cell(token: TokenInfo) -> Cell:
    if token.revoked_at:
        return Cell("revoked", tone="muted", icon="close", title=formats.utc(token.revoked_at))
    return Cell("active", tone="ok", icon="check")


def show(
    request: HttpRequest,
    here: Here,
    environment_id: UUID,
    failed: Failure | None,
) -> HttpResponseBase:
    place, store = environment(environment_id), object_store_of(environment_id)
    shown = tokens = None
    if here.may(Permission.FLEET_TOKEN_READ):
        tokens = registration_tokens(here.scope, environment_id)
        spec = _token_spec(here)
        shown = table(
            request, spec, fetch_from(tokens, spec, state=lambda t, value: _state(t) == value)
        )
        if isinstance(shown, HttpResponseBase):
            return shown
    context = {
        "environment": place,
        "store": store,
        "levels": LEVELS,
        "dns_choices": (("off", "Not reported"), ("on", "Reported")),
        "certificate_choices": (("off", "Not looked at"), ("on", "Looked at once a day")),
        "level": dict(LEVELS).get(place.capture_level, place.capture_level),
        "agents": agents(here.scope, environment_id),
        "table": shown,
        "revocable": [t for t in tokens or () if not t.revoked_at],
        "failed": failed,
        "crumbs": [("Environments", here.url("environments"))],
        "may_write": here.may_write(Permission.FLEET_ENVIRONMENT_WRITE),
        "may_create": here.may_write(Permission.FLEET_TOKEN_CREATE),
        "may_revoke": here.may_write(Permission.FLEET_TOKEN_REVOKE),
        "may_reveal": here.may_write(Permission.FLEET_TOKEN_REVEAL),
        "may_read_tokens": here.may(Permission.FLEET_TOKEN_READ),
        "access_help": ACCESS_HELP,
        "store_values": _store_values(store, failed),
        "s3_values": failed.values if failed and failed.dialog == "store-s3" else store,
    }
    status = failed.status if failed else 200
    return render(request, "pages/environment.html", context, status=status)


def _store_values(store: ObjectStoreInfo | None, failed: Failure | None) -> dict[str, str]:
    """What the dialog of the store begins with: what was typed, else what is set."""
    if failed and failed.dialog == "store":
        return failed.values
    return {"path": store.path, "access_url": store.access_url} if store else {}


@action(Permission.FLEET_TOKEN_CREATE)
def token_create(request: HttpRequest, here: Here, environment_id: UUID) -> HttpResponseBase:
    """Make a token and show it: a reload finds only its last four characters."""
    outcome = attempt(
        request,
        here.scope,
        "token",
        lambda: registration_token_create(
            actor=here.actor,
            environment_id=environment_id,
            name=request.POST.get("name", ""),
        ),
    )
    if isinstance(outcome, Failure):
        return show(request, here, environment_id, outcome)
    info, secret = outcome.result
    return _shown(request, here, environment_id, info, secret, title="New registration token")


def _shown(
    request: HttpRequest,
    here: Here,
    environment_id: UUID,
    token: TokenInfo,
    secret: str,
    *,
    title: str,
) -> HttpResponseBase:
    place = environment(environment_id)
    context = {
        "environment": place,
        "token": token,
        "secret": secret,
        "heading": title,
        "crumbs": [
            ("Environments", here.url("environments")),
            (place.name, here.url("environment", environment_id)),
        ],
    }
    response = render(request, "pages/token.html", context)
    response["Cache-Control"] = "no-store"
    return response


@action(Permission.FLEET_TOKEN_REVEAL)
def token_reveal(
    request: HttpRequest, here: Here, environment_id: UUID, token_id: UUID
) -> HttpResponseBase:
    """The token once more, for whoever proved a moment ago who it is; journalled."""
    token = _token_of(here, environment_id, token_id)
    outcome = attempt(
        request,
        here.scope,
        f"reveal-{token_id}",
        lambda: registration_token_reveal(actor=here.actor, token_id=token_id),
    )
    if isinstance(outcome, Failure):
        return show(request, here, environment_id, outcome)
    return _shown(request, here, environment_id, token, outcome.result, title="Registration token")


def _token_of(here: Here, environment_id: UUID, token_id: UUID) -> TokenInfo:
    known = {token.id: token for token in registration_tokens(here.scope, environment_id)}
    if token_id not in known:
        raise NotFound("There is no such registration token in this environment.")
    return known[token_id]


@action(Permission.FLEET_TOKEN_REVOKE)
def token_revoke(
    request: HttpRequest, here: Here, environment_id: UUID, token_id: UUID
) -> HttpResponseBase:
    token = _token_of(here, environment_id, token_id)

    def change() -> TokenInfo:
        confirmed(request, token.name)
        return registration_token_revoke(actor=here.actor, token_id=token_id)

    outcome = attempt(request, here.scope, f"revoke-{token_id}", change)
    if isinstance(outcome, Failure):
        return show(request, here, environment_id, outcome)
    messages.success(request, f"The token “{outcome.result.name}” was revoked.")
    return HttpResponseRedirect(here.url("environment", environment_id))
