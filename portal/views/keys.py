"""Keys, for the provider: who keeps them, how they are, what is due. Never a key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render

from identity.selectors import children
from portal.door import action, page
from portal.here import Here
from portal.kit.forms import Failure, attempt
from portal.kit.tables import Cell, Choice, Column, TableSpec, fetch_from, table
from qcloud.kernel.permissions import Permission
from qcloud.kernel.sealing import PLATFORM
from vaultsvc.selectors import KeyStatus, OwnerKeys, key_status, owners, shredded
from vaultsvc.services import key_rotate_start
from vaultsvc.tasks import carry_on_soon

STATES: Final = {
    "current": Cell("current", tone="ok", icon="check"),
    "due": Cell("due", tone="warn", icon="clock"),
    "shredded": Cell("shredded", tone="muted", icon="lock"),
}


@dataclass(frozen=True)
class _Row:
    id: UUID
    name: str
    state: str
    version: int | None = None
    since: datetime | None = None
    due_at: datetime | None = None
    superseded: int | None = None
    ended_at: datetime | None = None
    ended_by: str = ""


def _rows(here: Here) -> list[_Row]:
    names = {info.id: info.name for info in children(here.scope)}
    names |= {PLATFORM: "The platform itself", here.account.id: here.account.name}
    return [
        *(_kept(keys, names.get(keys.owner, str(keys.owner))) for keys in owners()),
        *(
            _Row(
                gone.owner,
                names.get(gone.owner, gone.slug),
                "shredded",
                ended_at=gone.shredded_at,
                ended_by=gone.shredded_by,
            )
            for gone in shredded()
        ),
    ]


def _kept(keys: OwnerKeys, name: str) -> _Row:
    state = "due" if keys.due else "current"
    return _Row(
        keys.owner, name, state, keys.version, keys.created_at, keys.due_at, keys.superseded
    )


def _time(moment: datetime | None) -> Cell:
    return Cell("", time=moment) if moment else Cell("–")


SPEC: Final[TableSpec[_Row]] = TableSpec(
    name="keys",
    noun="owners",
    sort="name",
    placeholder="Filter by account",
    choices=(Choice("state", "State", tuple((name, name) for name in STATES)),),
    columns=(
        Column("name", "Account", lambda r: r.name),
        Column("state", "State", lambda r: r.state, lambda r: STATES[r.state]),
        Column("version", "Key version", lambda r: r.version, number=True),
        Column("since", "Sealing since", lambda r: r.since, lambda r: _time(r.since)),
        Column("due", "Rotation due", lambda r: r.due_at, lambda r: _time(r.due_at)),
        Column("older", "Older keys kept", lambda r: r.superseded, number=True),
        Column("ended", "Shredded", lambda r: r.ended_at, lambda r: _time(r.ended_at)),
        Column("by", "Shredded by", lambda r: r.ended_by, shown=False),
    ),
)


@page(Permission.VAULTSVC_KEY_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    return _page(request, here, None)


@action(Permission.VAULTSVC_KEY_ROTATE)
def rotate(request: HttpRequest, here: Here) -> HttpResponseBase:
    """Start a run over everybody; the worker carries it on."""
    outcome = attempt(request, here.scope, "rotate", lambda: key_rotate_start(actor=here.actor))
    if isinstance(outcome, Failure):
        return _page(request, here, outcome)
    carry_on_soon()
    messages.success(request, "Rotation has begun. It goes on when you leave this page.")
    return HttpResponseRedirect(here.url("keys"))


def _page(request: HttpRequest, here: Here, failed: Failure | None) -> HttpResponseBase:
    rows, keys = _rows(here), key_status()
    shown = table(
        request, SPEC, fetch_from(rows, SPEC, state=lambda row, value: row.state == value)
    )
    if isinstance(shown, HttpResponseBase):
        return shown
    context = {
        "keys": keys,
        "state": _state(keys),
        "table": shown,
        "failed": failed,
        "owners": sum(row.state != "shredded" for row in rows),
        "due": sum(row.state == "due" for row in rows),
        "gone": sum(row.state == "shredded" for row in rows),
        "may_rotate": here.may_write(Permission.VAULTSVC_KEY_ROTATE),
    }
    return render(request, "pages/keys.html", context, status=failed.status if failed else 200)


def _state(keys: KeyStatus) -> Cell:
    if not keys.status.reachable:
        return Cell("not reachable", tone="danger", icon="danger")
    if keys.status.sealed:
        return Cell("sealed", tone="danger", icon="lock")
    return Cell("usable", tone="ok", icon="check")
