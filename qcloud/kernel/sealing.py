"""What lower rooms need of keys, without knowing who keeps them.

``vaultsvc`` fills both places at start-up; audit, identity and the kernel itself only know
these protocols.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from qcloud.kernel.errors import QCloudError

PLATFORM: Final = UUID(int=0)
"""The key owner of what belongs to no single account: a person's second factor, settings."""


class SealBroken(QCloudError):
    """``kernel.seal_broken``, 500: a sealed value was changed, cut or moved. It stays shut."""

    def __init__(self, table: str, column: str, row: str) -> None:
        super().__init__(
            "kernel.seal_broken",
            500,
            f"A sealed value cannot be opened: {table}.{column} of row {row} was changed, cut or"
            " moved there from elsewhere. The journal has the attempt; restore the row from a"
            " backup or enter the value again.",
            table=table,
            column=column,
            row=row,
        )


class KeyShredded(QCloudError):
    """``kernel.key_shredded``, 410: the owner's keys were destroyed; nothing brings it back."""

    def __init__(self, owner: UUID) -> None:
        super().__init__(
            "kernel.key_shredded",
            410,
            "The keys of this account were destroyed for good; what they sealed cannot be read"
            " again, and nothing new can be sealed for it.",
            owner=str(owner),
        )


class SealerUnavailable(QCloudError):
    """``kernel.sealer_unavailable``, 503: keys cannot be reached now; ``message`` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__("kernel.sealer_unavailable", 503, f"The keys cannot be reached: {reason}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed value lives. It is bound to it: moved elsewhere it does not open."""

    account_id: UUID
    """Whose key seals it; ``PLATFORM`` for the platform's own."""
    table: str
    column: str
    row: str
    schema_version: int = 1


class Sealer(Protocol):
    """Authenticated encryption of one value under its account's key."""

    def seal(self, plaintext: bytes, place: Place) -> bytes:
        """Raises ``SealerUnavailable`` when the keys cannot be reached."""

    def unseal(self, sealed: bytes, place: Place) -> bytes:
        """Raises ``SealBroken`` for a value that was changed, cut or moved, ``KeyShredded``
        when its account's key is gone, ``SealerUnavailable`` when keys cannot be reached.
        """

    def blind_index(self, plaintext: bytes, place: Place) -> bytes:
        """32 bytes, equal for equal plaintexts of one account, table and column alone; the
        row is left out. For the few sealed values that must be found.
        """


@dataclass(frozen=True, slots=True)
class Signature:
    key_id: str
    """Names the public key that verifies it; it only looks up."""
    signature: bytes
    """Ed25519, 64 bytes."""


class Signer(Protocol):
    """Ed25519 signatures with a key that does not leave its keeper."""

    def sign(self, message: bytes, *, purpose: str) -> Signature:
        """``purpose`` separates keys: ``audit``, ``token``. Raises ``SealerUnavailable``."""

    def public_keys(self, *, purpose: str) -> dict[str, bytes]:
        """Raw public keys, 32 bytes each, by key id: the present one and those before it."""


class _Keepers:
    sealer: Sealer | None = None
    signer: Signer | None = None


_keepers: Final = _Keepers()


def install(*, sealer: Sealer, signer: Signer) -> None:
    """Called once at start-up by the room that keeps the keys."""
    _keepers.sealer, _keepers.signer = sealer, signer


def sealer() -> Sealer:
    if _keepers.sealer is None:
        raise RuntimeError("no room installed a sealer: is vaultsvc among the applications?")
    return _keepers.sealer


def signer() -> Signer:
    if _keepers.signer is None:
        raise RuntimeError("no room installed a signer: is vaultsvc among the applications?")
    return _keepers.signer
