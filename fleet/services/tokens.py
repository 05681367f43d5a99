from __future__ import annotations

import secrets
from uuid import UUID

from audit.services import record
from fleet.models import RegistrationToken
from fleet.selectors import TokenInfo, environment_row, token_hash, token_info
from fleet.services.places import own_scope, printable_name
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, NotFound
from qcloud.kernel.permissions import Actor, Permission, require, require_fresh
from qcloud.kernel.scope import scoped
from wire.protocol import REGISTRATION_TOKEN_PREFIX


def new_token(prefix: str) -> str:
    """256 random bits behind a prefix that tells people and secret scanners what it is."""
    return prefix + secrets.token_urlsafe(32)


def registration_token_create(
    *, actor: Actor, environment_id: UUID, name: str
) -> tuple[TokenInfo, str]:
    """A token that agents of the environment register with, and its text, this once.

    Raises ``Denied``, ``NotFound``, ``Conflict`` (environment closed), ``Invalid``.
    """
    require(actor, Permission.FLEET_TOKEN_CREATE)
    scope = own_scope(actor)
    label = printable_name(name)
    token = new_token(REGISTRATION_TOKEN_PREFIX)
    with scoped(scope):
        environment = environment_row(environment_id)
        if environment.closed_at is not None:
            raise Conflict(f"{environment.name} is closed; no agent can join it.")
        row = RegistrationToken.objects.create(
            account_id=scope.account_id,
            environment=environment,
            name=label,
            token_hash=token_hash(token),
            token=token,
            last_four=token[-4:],
            created_by=actor.label,
        )
        record(
            actor=actor,
            action="fleet.token.create",
            object_kind="registration_token",
            object_id=row.id,
            data={"environment_id": environment_id, "name": label, "last_four": row.last_four},
        )
    return token_info(row), token


def registration_token_reveal(*, actor: Actor, token_id: UUID) -> str:
    """The token's text once more, for somebody who proved a moment ago who it is.

    Raises ``Denied``, ``StepUpNeeded``, ``NotFound``, ``Conflict`` (revoked, or made before
    tokens were kept), ``SealBroken``, ``KeyShredded``, ``SealerUnavailable``.
    """
    require(actor, Permission.FLEET_TOKEN_REVEAL)
    require_fresh(actor)
    with scoped(own_scope(actor)):
        row = _token_row(RegistrationToken.objects.filter(id=token_id).first())
        if row.revoked_at is not None:
            raise Conflict(f"The token “{row.name}” is revoked; nothing can register with it.")
        if row.token is None:
            raise Conflict(f"The token “{row.name}” was shown once and not kept. Make a new one.")
        text: str = row.token.reveal()
        record(
            actor=actor,
            action="fleet.token.reveal",
            object_kind="registration_token",
            object_id=row.id,
            data={"name": row.name, "last_four": row.last_four},
        )
    return text


def _token_row(row: RegistrationToken | None) -> RegistrationToken:
    if row is None:
        raise NotFound("There is no such registration token in this account.")
    return row


def registration_token_revoke(*, actor: Actor, token_id: UUID) -> TokenInfo:
    """No agent registers with the token any more, and those that did are refused.

    They come back, as the same agents, with another registration token. Raises ``Denied``,
    ``NotFound``, ``Conflict`` (revoked already).
    """
    require(actor, Permission.FLEET_TOKEN_REVOKE)
    with scoped(own_scope(actor)):
        row = _token_row(RegistrationToken.objects.select_for_update().filter(id=token_id).first())
        if row.revoked_at is not None:
            raise Conflict(f"The token “{row.name}” is revoked already.")
        row.revoked_at = now()
        row.save(update_fields=["revoked_at"])
        record(
            actor=actor,
            action="fleet.token.revoke",
            object_kind="registration_token",
            object_id=row.id,
            data={"name": row.name, "last_four": row.last_four},
        )
    return token_info(row)
