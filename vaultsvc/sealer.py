"""The kernel's ``Sealer`` and ``Signer`` over data keys and the chosen keeper."""

from __future__ import annotations

from uuid import UUID

import structlog
from django.db import DatabaseError

from audit.services import Outcome, Who, record_attempt
from qcloud.kernel.errors import QCloudError, ScopeMissing
from qcloud.kernel.logs import request_id_var
from qcloud.kernel.scope import Scope, current_scope, is_open
from qcloud.kernel.sealing import Place, SealBroken, Signature
from vaultsvc import envelope
from vaultsvc.apart import apart
from vaultsvc.backends import backend
from vaultsvc.keys import held
from vaultsvc.models import Purpose

log = structlog.get_logger("vaultsvc")

JOURNAL_SECONDS = 10.0
"""How long an unseal that failed waits for its journal entry."""


class VaultSealer:
    """Data keys in memory, everything else by value: one object serves all threads."""

    def seal(self, plaintext: bytes, place: Place) -> bytes:
        return envelope.seal(held.active(place.account_id, Purpose.SEAL), plaintext, place)

    def unseal(self, sealed: bytes, place: Place) -> bytes:
        try:
            key = held.by_id(envelope.key_id(sealed), place.account_id)
            return envelope.unseal(key, sealed, place)
        except envelope.Broken:
            journal_broken(place)
            raise SealBroken(place.table, place.column, place.row) from None

    def blind_index(self, plaintext: bytes, place: Place) -> bytes:
        return envelope.blind_index(held.active(place.account_id, Purpose.INDEX), plaintext, place)


class VaultSigner:
    """Each signature is the keeper's: private keys are never in this process's cache."""

    def sign(self, message: bytes, *, purpose: str) -> Signature:
        return backend().sign(purpose, message)

    def public_keys(self, *, purpose: str) -> dict[str, bytes]:
        return backend().public_keys(purpose)


def journal_broken(place: Place) -> None:
    """In a transaction of its own: the caller's is on its way to be rolled back."""
    scope, request_id = _scope_of(place.account_id), request_id_var.get()
    try:
        apart(lambda: _record(place, scope, request_id), seconds=JOURNAL_SECONDS)
    except (QCloudError, DatabaseError, TimeoutError):
        # The refusal stands without its entry; losing the entry must not open the value.
        log.exception("a broken seal could not be journalled", table=place.table, row=place.row)
    log.error("seal broken", table=place.table, column=place.column, row=place.row)


def _record(place: Place, scope: Scope | None, request_id: str) -> None:
    record_attempt(
        who=Who("system", None, "vaultsvc", "", request_id),
        scope=scope,
        action="vaultsvc.value.unseal",
        outcome=Outcome.DENIED,
        reason="The sealed value was changed, cut or moved from another place.",
        object_kind=place.table,
        object_id=place.row,
        data={
            "column": place.column,
            "account_id": str(place.account_id),
            "schema_version": place.schema_version,
        },
    )


def _scope_of(account_id: UUID) -> Scope | None:
    """The open scope when it is the value's own account; else system mode alone reads it."""
    if not is_open():
        return None
    try:
        scope = current_scope()
    except ScopeMissing:  # system mode
        return None
    return scope if scope.account_id == account_id else None
