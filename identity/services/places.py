"""Where an actor acts, and what it may hand on."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from qcloud.kernel.errors import Denied, Invalid
from qcloud.kernel.permissions import ROLES, Actor, RoleName, missing
from qcloud.kernel.scope import Tier, scoped, unscoped


def acting(actor: Actor) -> AbstractContextManager[Any]:
    """The actor's scope; system mode for the system itself."""
    if actor.scope is not None:
        return scoped(actor.scope)
    if actor.kind != "system":
        raise Denied("Choose the account that you act for.")
    return unscoped("the system acts on an account")


def role_named(name: str) -> RoleName:
    """Raises ``Invalid``, listing the roles there are."""
    try:
        return RoleName(name)
    except ValueError as error:
        known = ", ".join(role.value for role in RoleName)
        raise Invalid(f"There is no role “{name[:40]}”. Choose one of: {known}.") from error


def require_grantable(actor: Actor, tier: Tier, role: RoleName) -> None:
    """Nobody grants, changes or takes away what they lack."""
    lacking = sorted(missing(actor, ROLES[tier][role]))
    if lacking:
        raise Denied(
            f"The role “{role}” includes “{lacking[0]}”, which you do not have yourself."
            " Ask an owner of the account.",
            lacking=lacking,
        )
