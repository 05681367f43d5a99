"""Writing the journal.

An action and its entry share one transaction: if the entry cannot be written, the action is
rolled back. A denial is the other way round: its transaction is gone by the time it is known,
so it gets one of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction

from audit.errors import AuditRefused
from audit.models import MAX_LABEL, MAX_OBJECT_ID, MAX_REASON, Entry, Outcome
from qcloud.kernel.errors import Denied, NotFound, QCloudError
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import Scope, scoped, unscoped

__all__ = ["Outcome", "Who", "denials", "record", "record_attempt", "record_denial"]

MAX_DATA_BYTES: Final = 8_192
"""Of ``data`` as JSON. An entry describes an action; it does not carry its content."""

SECRET_WORDS: Final = frozenset(
    {"authorization", "cookie", "passphrase", "password", "plaintext", "secret", "token"}
)
"""Last words of keys whose values must never reach the journal."""

NOWHERE: Final = (UUID(int=0), "/")
"""Account and path of an attempt on no account at all; only system mode reads such entries."""


@dataclass(frozen=True)
class Who:
    """Somebody without an ``Actor``: a person at the sign-in form, a program with a bad token."""

    kind: str
    """``staff``, ``agent`` or ``system``, as claimed."""
    id: UUID | None
    label: str
    ip: str
    request_id: str


def record(
    *,
    actor: Actor,
    action: str,
    object_kind: str = "",
    object_id: object = "",
    outcome: Outcome = Outcome.ALLOWED,
    reason: str = "",
    data: Mapping[str, Any] | None = None,
    scope: Scope | None = None,
    on_behalf_of: UUID | None = None,
) -> None:
    """Write one entry in the caller's transaction.

    ``scope`` names the account that the action was on; by default the actor's own. What the
    system itself does to no account can only be written in system mode. ``data`` is JSON of
    at most 8 KiB, without secrets. An entry of a guest names the account that it came from
    (``on_behalf_of``) beside the person.

    Raises ``AuditRefused`` outside a transaction, for a secret in ``data`` or for too much of
    it, and whatever the database raises; the caller must not catch either.
    """
    if not connection.in_atomic_block:
        raise AuditRefused(
            f"{action}: the entry must be written in the transaction of the action; "
            "open it with scoped() or unscoped()"
        )
    _insert(
        _who(actor),
        _place(scope or actor.scope),
        action=action,
        object_kind=object_kind,
        object_id=str(object_id),
        outcome=outcome,
        reason=reason,
        data={**(data or {}), **_guest(actor)},
        on_behalf_of=on_behalf_of or _home(actor),
    )


def record_denial(
    *,
    actor: Actor,
    action: str,
    error: QCloudError,
    object_kind: str = "",
    object_id: object = "",
    data: Mapping[str, Any] | None = None,
) -> None:
    """Write that ``error`` kept ``actor`` from doing ``action``, and commit it.

    To be called when the transaction of the action has ended. Raises ``AuditRefused`` inside
    another transaction, which could take the entry back.
    """
    with _own_transaction(action), _gate(actor.scope):
        _insert(
            _who(actor),
            _place(actor.scope),
            action=action,
            object_kind=object_kind,
            object_id=str(object_id),
            outcome=Outcome.DENIED,
            reason=error.message,
            data={**(data or {}), "code": error.code, **_guest(actor)},
            on_behalf_of=_home(actor),
        )


def record_attempt(
    *,
    who: Who,
    scope: Scope | None,
    action: str,
    outcome: Outcome,
    reason: str = "",
    object_kind: str = "",
    object_id: object = "",
    data: Mapping[str, Any] | None = None,
) -> None:
    """Write, and commit, what somebody without an ``Actor`` tried.

    ``scope`` is the account whose staff shall read it, ``None`` if there is none. Raises
    ``AuditRefused`` inside another transaction.
    """
    with _own_transaction(action), _gate(scope):
        _insert(
            who,
            _place(scope),
            action=action,
            object_kind=object_kind,
            object_id=str(object_id),
            outcome=outcome,
            reason=reason,
            data=data,
        )


@contextmanager
def denials(
    *, actor: Actor, action: str, object_kind: str = "", object_id: object = ""
) -> Iterator[None]:
    """What a door puts around its transaction: a refusal that leaves it is in the journal.

    ``Denied`` and ``NotFound`` are written with ``record_denial`` and raised again.
    """
    try:
        yield
    except (Denied, NotFound) as error:
        record_denial(
            actor=actor, action=action, error=error, object_kind=object_kind, object_id=object_id
        )
        raise


@contextmanager
def _own_transaction(action: str) -> Iterator[None]:
    # Django marks the transaction that its own TestCase wraps around a test.
    if not all(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
        raise AuditRefused(
            f"{action}: this entry must be written after the transaction of the action has "
            "ended; move the call out of scoped(), unscoped() or atomic()"
        )
    with transaction.atomic():
        yield


def _gate(scope: Scope | None) -> AbstractContextManager[Scope | None]:
    return scoped(scope) if scope else unscoped("audit: an entry of no account")


def _place(scope: Scope | None) -> tuple[UUID, str]:
    return (scope.account_id, scope.path) if scope else NOWHERE


def _home(actor: Actor) -> UUID | None:
    """For which account a guest looks on: each of its entries names both."""
    return actor.delegation.home.account_id if actor.delegation else None


def _guest(actor: Actor) -> dict[str, str]:
    if actor.delegation is None:
        return {}
    return {"delegation": str(actor.delegation.id), "on_behalf_of": actor.delegation.home_name}


def _who(actor: Actor) -> Who:
    return Who(str(actor.kind), actor.id, actor.label, actor.ip, actor.request_id)


def _insert(
    who: Who,
    place: tuple[UUID, str],
    *,
    action: str,
    object_kind: str,
    object_id: str,
    outcome: Outcome,
    reason: str,
    data: Mapping[str, Any] | None,
    on_behalf_of: UUID | None = None,
) -> None:
    Entry(
        account_id=place[0],
        account_path=place[1],
        actor_kind=who.kind,
        actor_id=who.id,
        actor_label=_clean(who.label, MAX_LABEL),
        on_behalf_of=on_behalf_of,
        action=action,
        object_kind=object_kind,
        object_id=_clean(object_id, MAX_OBJECT_ID),
        outcome=outcome,
        reason=_clean(reason, MAX_REASON),
        ip=_clean(who.ip, 64),
        request_id=_clean(who.request_id, 64),
        data=_checked(action, data or {}),
    ).save(force_insert=True)


def _clean(text: str, limit: int) -> str:
    """PostgreSQL stores no NUL; whoever typed one must not escape the journal by it."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:limit]


def _checked(action: str, data: Mapping[str, Any]) -> dict[str, Any]:
    for key in _keys(data):
        if key.lower().replace("-", "_").rsplit("_", 1)[-1] in SECRET_WORDS:
            raise AuditRefused(f"{action}: data must not hold {key!r}, which looks like a secret")
    encoded = json.dumps(data, default=str).replace("\\u0000", "\\ufffd")
    if len(encoded) > MAX_DATA_BYTES:
        raise AuditRefused(f"{action}: data is {len(encoded)} bytes, at most {MAX_DATA_BYTES} fit")
    result: dict[str, Any] = json.loads(encoded)
    return result


def _keys(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _keys(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _keys(inner)
