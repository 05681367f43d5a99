"""What an account takes with it of this room: itself, its people, its access log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

from identity.access_log import MAX_PAGE, AccessFilter, AccessInfo, access_events
from identity.directory import account_state
from identity.selectors import (
    delegation_grants,
    delegations,
    invitations,
    roles,
    staff,
)
from qcloud.kernel.scope import Scope
from qcloud.kernel.takeout import File, document, offer, table

_STAFF: Final = ("email", "name", "role", "environments", "is_active", "since", "last_login")
_ROLES: Final = ("name", "description", "built_in", "holders", "permissions")
_INVITATIONS: Final = ("email", "name", "role", "state", "invited_by", "sent_at", "expires_at")
_LOOKS: Final = (
    "user_label", "home_name", "reason", "ticket", "started_at", "expires_at", "ended_at",
    "ended_by",
)  # fmt: skip
_GRANTS: Final = (
    "grantee_name", "permissions", "reason", "granted_by", "created_at", "ends_at", "revoked_at",
    "revoked_by",
)  # fmt: skip
_ACCESS: Final = (
    "at", "event", "outcome", "reason", "user_name", "portal", "factor", "ip", "user_agent",
    "place", "flags",
)  # fmt: skip


def register() -> None:
    offer("Account", _account, order=10)
    offer("Staff and roles", _people, order=20)
    offer("Access log", _access_log, order=70)


def _account(scope: Scope) -> Iterator[File]:
    state = account_state(scope, scope.account_id)
    info = {name: value for name, value in asdict(state.info).items() if name != "path"}
    rest = {"created_at": state.created_at, "quotas": state.quotas}
    standing = {"since": state.since, "reason": state.reason, "erase_at": state.erase_at}
    yield document("account.json", info | rest | standing)


def _people(scope: Scope) -> Iterator[File]:
    yield table("staff.csv", _STAFF, staff(scope))
    yield table("roles.csv", _ROLES, roles(scope))
    yield table("invitations.csv", _INVITATIONS, invitations(scope))
    own = [look for look in delegations(scope) if look.account_id == scope.account_id]
    yield table("delegated-access.csv", _LOOKS, own)
    yield table("delegation-grants.csv", _GRANTS, delegation_grants(scope))


def _access_log(scope: Scope) -> Iterator[File]:
    yield table("access-log.csv", _ACCESS, _attempts(scope))


def _attempts(scope: Scope) -> Iterator[AccessInfo]:
    wanted, cursor = AccessFilter(account_id=scope.account_id), ""
    while True:
        page, cursor = access_events(scope, wanted, cursor, MAX_PAGE)
        yield from page
        if not cursor:
            return
