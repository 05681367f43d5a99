"""The keeper for production: the transit engine of HashiCorp Vault, or of OpenBao.

One transit key an owner, ``account-<hex id>``; Vault wraps the data keys, and wrapping keys
never leave it. A destroyed key leaves a **tombstone**: a key of another type under the same
name, made in Vault itself, which can neither wrap nor be replaced by accident. So "destroyed"
and "not there, this is another Vault" are two answers, without a second place to ask.

Signing keys are Ed25519, ``sign-<purpose>``.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import hvac
from hvac import exceptions as hvac_errors

from qcloud.kernel.env import Env
from qcloud.kernel.sealing import KeyShredded, SealerUnavailable, Signature
from vaultsvc.backends.base import (
    KEY_BYTES,
    BackendStatus,
    KeyMissing,
    KeyVersions,
    NewDataKey,
    WrappedKey,
    signing_key_id,
)
from vaultsvc.vault.connection import VaultConnection
from vaultsvc.vault.errors import VaultDenied, VaultUnavailable
from vaultsvc.vault.names import SIGNING, TOMBSTONE, WRAPPING, account_key, signing_key
from vaultsvc.vault.process import connection

_LONGEST_BLOB: Final = 512


def open_backend() -> Vault:
    return Vault(connection(Env()))


class Vault:
    name: Final = "vault"

    def __init__(self, vault: VaultConnection) -> None:
        self._vault = vault
        self._mount = vault.settings.transit_mount
        self._known: set[UUID] = set()
        self._public: dict[str, dict[int, bytes]] = {}

    def begun(self) -> bool:
        """A server is set up by an operator, not made at first use."""
        return True

    def new_data_key(self, owner: UUID) -> NewDataKey:
        if owner not in self._known:
            self._create(account_key(owner), WRAPPING)
        answer = self._of(
            owner,
            "make data keys of accounts",
            lambda client: client.secrets.transit.generate_data_key(
                account_key(owner), "plaintext", mount_point=self._mount
            ),
        )
        self._known.add(owner)
        return NewDataKey(_decoded(answer["plaintext"]), _wrapped(answer["ciphertext"]))

    def unwrap(self, owner: UUID, wrapped: bytes) -> bytes:
        text = _text(wrapped)
        answer = self._of(
            owner,
            "unwrap data keys of accounts",
            lambda client: client.secrets.transit.decrypt_data(
                account_key(owner), text, mount_point=self._mount
            ),
        )
        plaintext = _decoded(answer["plaintext"])
        if len(plaintext) != KEY_BYTES:
            raise ValueError("what was wrapped is not a data key")
        return plaintext

    def rewrap(self, owner: UUID, wrapped: bytes) -> WrappedKey:
        text = _text(wrapped)
        answer = self._of(
            owner,
            "rewrap data keys of accounts",
            lambda client: client.secrets.transit.rewrap_data(
                account_key(owner), text, mount_point=self._mount
            ),
        )
        return _wrapped(answer["ciphertext"])

    def rotate(self, owner: UUID) -> int:
        found = self._read(account_key(owner))
        if found is None:
            self._create(account_key(owner), WRAPPING)
        elif found["type"] == TOMBSTONE:
            raise KeyShredded(owner)
        self._of(
            owner,
            "rotate keys of accounts",
            lambda client: client.secrets.transit.rotate_key(
                account_key(owner), mount_point=self._mount
            ),
            repeatable=False,
        )
        versions = self.versions(owner)
        if versions is None:  # destroyed between the two
            raise KeyShredded(owner)
        return versions.newest

    def versions(self, owner: UUID) -> KeyVersions | None:
        found = self._read(account_key(owner))
        if found is None or found["type"] == TOMBSTONE:
            return None
        newest = int(found["latest_version"])
        made = datetime.fromtimestamp(int(found["keys"][str(newest)]), UTC)
        return KeyVersions(newest, int(found["min_decryption_version"]), made)

    def destroy(self, owner: UUID) -> None:
        """Killed half-way it can be run again: without a key only the tombstone is made."""
        name = account_key(owner)
        found = self._read(name)
        while found is None or found["type"] != TOMBSTONE:
            if found is not None:
                self._delete(name, owner)
            self._create(name, TOMBSTONE)
            # Another process may have made the account's key anew between the two.
            found = self._read(name)
        self._known.discard(owner)

    def sign(self, purpose: str, message: bytes) -> Signature:
        try:
            answer = self._sign(purpose, message)
        except hvac_errors.VaultError as error:
            if not _absent(error):
                raise _unexpected(error) from error
            self._create(signing_key(purpose), SIGNING)
            answer = self._sign(purpose, message)
        _, version, signature = str(answer["signature"]).split(":", 2)
        number = int(version.removeprefix("v"))
        public = self._public.get(purpose, {}).get(number) or self._load(purpose)[number]
        return Signature(signing_key_id(purpose, number, public), _decoded(signature))

    def public_keys(self, purpose: str) -> dict[str, bytes]:
        return {
            signing_key_id(purpose, version, public): public
            for version, public in sorted(self._load(purpose).items())
        }

    def rotate_signing(self, purpose: str) -> str:
        if not self._load(purpose):
            self._create(signing_key(purpose), SIGNING)
        else:
            self._vault.ask(
                f"rotate the signing key of {purpose}",
                lambda client: client.secrets.transit.rotate_key(
                    signing_key(purpose), mount_point=self._mount
                ),
                repeatable=False,
            )
        newest, public = max(self._load(purpose).items())
        return signing_key_id(purpose, newest, public)

    def status(self) -> BackendStatus:
        settings = self._vault.settings
        namespace = settings.namespace or ""
        try:
            health = self._vault.health()
        except VaultUnavailable as error:
            return BackendStatus(
                reachable=False, sealed=False, version="", detail=error.reason, namespace=namespace
            )
        return BackendStatus(
            reachable=True,
            sealed=bool(health["sealed"]) or not health["initialized"],
            version=str(health["version"]),
            detail=_state(settings.address, health),
            namespace=namespace,
            token_expires_at=self._vault.expires_at(),
        )

    def _of(
        self,
        owner: UUID,
        what: str,
        call: Callable[[hvac.Client], Any],
        *,
        repeatable: bool = True,
    ) -> dict[str, Any]:
        """The ``data`` of an answer about an owner's key; empty where Vault sends none."""
        try:
            answer = self._vault.ask(what, call, repeatable=repeatable)
        except (hvac_errors.InvalidPath, hvac_errors.InvalidRequest) as error:
            raise self._meaning(owner, error) from error
        return answer["data"] or {} if isinstance(answer, dict) else {}

    def _meaning(self, owner: UUID, error: hvac_errors.VaultError) -> Exception:
        """What a refusal says about the key. Vault has no codes: its words are all there is."""
        said = _words(error)
        if "not support" in said or "unsupported" in said:
            self._known.discard(owner)
            return KeyShredded(owner)
        if _absent(error):
            self._known.discard(owner)
            return self._gone(owner)
        if "disallowed by policy" in said:
            return KeyMissing(
                f"a data key of owner {owner} was wrapped by a version below the"
                f" min_decryption_version of {account_key(owner)} in Vault. Lower that, rewrap,"
                " and raise it again."
            )
        if "ciphertext" in said or "authentication failed" in said:
            return ValueError("a wrapped key that was changed, or another owner's")
        return _unexpected(error)

    def _gone(self, owner: UUID) -> KeyMissing:
        return KeyMissing(
            f"Vault at {self._vault.settings.address} has no key {account_key(owner)} in"
            f" {self._mount}: it is another Vault, another mount, or older than the database."
            " Restore Vault from the backup that belongs to the database."
        )

    def _create(self, name: str, kind: str) -> None:
        """No error, and no change, where there is a key of that name already."""
        try:
            self._vault.ask(
                f"make the key {name}",
                lambda client: client.secrets.transit.create_key(
                    name, key_type=kind, exportable=False, mount_point=self._mount
                ),
            )
        except hvac_errors.InvalidPath as error:
            raise self._no_mount() from error
        except hvac_errors.InvalidRequest as error:
            raise _unexpected(error) from error

    def _delete(self, name: str, owner: UUID) -> None:
        def delete(client: hvac.Client) -> None:
            transit = client.secrets.transit
            transit.update_key_configuration(name, deletion_allowed=True, mount_point=self._mount)
            transit.delete_key(name, mount_point=self._mount)

        try:
            self._vault.ask("destroy keys of accounts", delete)
        except (hvac_errors.InvalidPath, hvac_errors.InvalidRequest) as error:
            if not _absent(error):  # else another process was quicker
                raise self._meaning(owner, error) from error

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            answer = self._vault.ask(
                f"read which versions {name} has",
                lambda client: client.secrets.transit.read_key(name, mount_point=self._mount),
            )
        except hvac_errors.InvalidPath as error:
            if "no handler for route" in _words(error):
                raise self._no_mount() from error
            return None
        found: dict[str, Any] = answer["data"]
        return found

    def _no_mount(self) -> VaultDenied:
        return VaultDenied(
            f"Vault at {self._vault.settings.address} has no transit engine at {self._mount}."
            " Run qcloud vault bootstrap, or set QCLOUD_VAULT_TRANSIT_MOUNT to where it is."
        )

    def _sign(self, purpose: str, message: bytes) -> dict[str, Any]:
        answer = self._vault.ask(
            f"sign for {purpose}",
            lambda client: client.secrets.transit.sign_data(
                signing_key(purpose), _encoded(message), mount_point=self._mount
            ),
        )
        data: dict[str, Any] = answer["data"]
        return data

    def _load(self, purpose: str) -> dict[int, bytes]:
        found = self._read(signing_key(purpose))
        keys = {} if found is None else found["keys"]
        public = {int(number): _decoded(entry["public_key"]) for number, entry in keys.items()}
        self._public[purpose] = public
        return public


def _state(address: str, health: dict[str, Any]) -> str:
    if not health["initialized"]:
        return f"Vault at {address} was never initialized: vault operator init, then unseal it."
    if health["sealed"]:
        return f"Vault at {address} is sealed. Unseal it: vault operator unseal."
    return f"Vault at {address}, unsealed{', a standby' if health.get('standby') else ''}."


def _words(error: hvac_errors.VaultError) -> str:
    return str(error.args[0]).lower()


def _absent(error: hvac_errors.VaultError) -> bool:
    said = _words(error)
    return "key not found" in said or "no existing key" in said or "could not be found" in said


def _unexpected(error: hvac_errors.VaultError) -> SealerUnavailable:
    return SealerUnavailable(f"Vault refuses the request ({_words(error)[:200]}).")


def _wrapped(ciphertext: str) -> WrappedKey:
    """``vault:v3:…`` as it is: opaque to us but for its version."""
    version = int(ciphertext.split(":", 2)[1].removeprefix("v"))
    return WrappedKey(ciphertext.encode("ascii"), version)


def _text(wrapped: bytes) -> str:
    """Raises ``ValueError`` before Vault is asked."""
    if len(wrapped) > _LONGEST_BLOB or not wrapped.startswith(b"vault:v"):
        raise ValueError("not a data key that Vault wrapped")
    return wrapped.decode("ascii")


def _encoded(message: bytes) -> str:
    return base64.b64encode(message).decode("ascii")


def _decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
