"""What every keeper of wrapping keys can do: Vault's transit engine and the keyring file.

An owner (an account, or ``PLATFORM``) has one wrapping key in versions. It never leaves its
keeper; what leaves is a data key, in the clear for memory and wrapped for the database.
All methods are safe to call from many threads and processes at once.

Errors, the same for every keeper: ``SealerUnavailable`` when it cannot be reached, is sealed,
or says no for a reason that an operator can mend (the message names it), and its kind
``KeyMissing`` when that is about this owner alone; ``KeyShredded`` when
the owner's wrapping key was destroyed; ``ValueError`` for a wrapped key that was changed or
belongs to another owner.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from qcloud.kernel.sealing import SealerUnavailable, Signature

KEY_BYTES = 32


class KeyMissing(SealerUnavailable):
    """The keeper works, but what the database needs of this owner it has not, or not any more:
    another keeper, an older one, or a damaged row. Other owners are not concerned.
    """


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key as it may be stored."""

    blob: bytes
    """At most 512 bytes; only its keeper can read it."""
    version: int
    """Of the wrapping key, from 1."""


@dataclass(frozen=True, slots=True)
class NewDataKey:
    plaintext: bytes = field(repr=False)
    """32 random bytes, for memory alone."""
    wrapped: WrappedKey


@dataclass(frozen=True, slots=True)
class KeyVersions:
    newest: int
    oldest: int
    """The oldest version that still unwraps."""
    created_at: datetime
    """Of the newest version."""


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """How the keeper is, asked now; asking never raises."""

    reachable: bool
    sealed: bool
    """Unsealed and reachable is what is wanted."""
    version: str
    """Of the server, or of the file's format."""
    detail: str
    """One sentence for the operator: where it is, or what is wrong and what to do."""
    namespace: str = ""
    token_expires_at: datetime | None = None
    """``None``: nothing expires."""


class KeyBackend(Protocol):
    @property
    def name(self) -> str:
        """``keyring`` or ``vault``."""

    def begun(self) -> bool:
        """Whether it may hold keys already; asks nobody. A keeper that was never written to
        cannot be the one of a database with data keys.
        """

    def new_data_key(self, owner: UUID) -> NewDataKey:
        """A fresh data key under the owner's newest version, whose wrapping key is made at
        first use. At most two round trips. Makes no key again for an owner that it knows to
        be destroyed (``KeyShredded``).
        """

    def unwrap(self, owner: UUID, wrapped: bytes) -> bytes:
        """The 32 bytes of a data key. One round trip."""

    def rewrap(self, owner: UUID, wrapped: bytes) -> WrappedKey:
        """The same data key under the owner's newest version. One round trip."""

    def rotate(self, owner: UUID) -> int:
        """Make a new version of the owner's wrapping key, and the key at first use; its number."""

    def versions(self, owner: UUID) -> KeyVersions | None:
        """``None``: the owner has no wrapping key, or has it no more."""

    def destroy(self, owner: UUID) -> None:
        """Destroy every version for good. Again, or for an owner without key: no error."""

    def sign(self, purpose: str, message: bytes) -> Signature:
        """Ed25519 with the purpose's newest key, which is made at first use.
        ``Signature.key_id`` is ``signing_key_id`` of its public key.
        """

    def public_keys(self, purpose: str) -> dict[str, bytes]:
        """Every version's raw public key by key id, the newest last; empty before first use."""

    def rotate_signing(self, purpose: str) -> str:
        """A new Ed25519 key for the purpose; its key id. Earlier public keys are kept."""

    def status(self) -> BackendStatus:
        """For the operator's page; at most two round trips, answers within 2 s."""


def signing_key_id(purpose: str, version: int, public_key: bytes) -> str:
    """``audit-3-9f86d081``: purpose, version, the first half of the public key's hash."""
    return f"{purpose}-{version}-{hashlib.sha256(public_key).hexdigest()[:16]}"
