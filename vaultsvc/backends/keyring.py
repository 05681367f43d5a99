"""The embedded keeper: wrapping and signing keys in a sealed file of this machine.

For one machine, where everything that could ask for a key runs as the same user anyway. A
destroyed owner is remembered, so that its key is not made again.
"""

from __future__ import annotations

import os
import struct
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from qcloud.kernel.clock import now
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
from vaultsvc.backends.keyring_file import Content, KeyringFile, decoded, encoded

_VERSION: Final = struct.Struct(">I")
_NONCE: Final = 12


def open_backend() -> Keyring:
    return Keyring(KeyringFile(settings.KEYRING_PATH, settings.KEYRING_SECRET))


class Keyring:
    name: Final = "keyring"

    def __init__(self, file: KeyringFile) -> None:
        self._file = file

    def begun(self) -> bool:
        return self._file.content() is not None

    def new_data_key(self, owner: UUID) -> NewDataKey:
        versions = self._versions(owner)
        if not versions:
            self._make(owner)
            versions = self._versions(owner)
        plaintext = os.urandom(KEY_BYTES)
        return NewDataKey(plaintext, _wrap(owner, versions, plaintext))

    def unwrap(self, owner: UUID, wrapped: bytes) -> bytes:
        return _unwrap(owner, self._present(owner), wrapped)

    def rewrap(self, owner: UUID, wrapped: bytes) -> WrappedKey:
        versions = self._present(owner)
        return _wrap(owner, versions, _unwrap(owner, versions, wrapped))

    def rotate(self, owner: UUID) -> int:
        with self._file.changing() as content:
            _refuse_destroyed(content, owner)
            return _add_version(content.setdefault("owners", {}).setdefault(owner.hex, []))

    def versions(self, owner: UUID) -> KeyVersions | None:
        content = self._file.content() or {}
        versions = content.get("owners", {}).get(owner.hex)
        if not versions:
            return None
        made = datetime.fromisoformat(versions[-1]["created_at"])
        return KeyVersions(newest=len(versions), oldest=1, created_at=made)

    def destroy(self, owner: UUID) -> None:
        with self._file.changing() as content:
            content.get("owners", {}).pop(owner.hex, None)
            content.setdefault("destroyed", {}).setdefault(owner.hex, now().isoformat())

    def sign(self, purpose: str, message: bytes) -> Signature:
        if not self._signing(purpose):
            self._make_signing(purpose)
        keys = self._signing(purpose)
        key = Ed25519PrivateKey.from_private_bytes(decoded(keys[-1]["key"]))
        public = key.public_key().public_bytes_raw()
        return Signature(signing_key_id(purpose, len(keys), public), key.sign(message))

    def public_keys(self, purpose: str) -> dict[str, bytes]:
        found = {}
        for version, entry in enumerate(self._signing(purpose), start=1):
            public = decoded(entry["public"])
            found[signing_key_id(purpose, version, public)] = public
        return found

    def rotate_signing(self, purpose: str) -> str:
        with self._file.changing() as content:
            keys = content.setdefault("signing", {}).setdefault(purpose, [])
            return _add_signing(purpose, keys)

    def status(self) -> BackendStatus:
        try:
            content = self._file.content()
        except SealerUnavailable as error:
            return BackendStatus(reachable=False, sealed=True, version="1", detail=error.message)
        made = f"the file {self._file.path}"
        detail = made if content is not None else f"{made}, made when the first value is sealed"
        return BackendStatus(reachable=True, sealed=False, version="1", detail=detail)

    def _versions(self, owner: UUID) -> list[dict[str, str]]:
        content = self._file.content() or {}
        _refuse_destroyed(content, owner)
        versions: list[dict[str, str]] = content.get("owners", {}).get(owner.hex, [])
        return versions

    def _present(self, owner: UUID) -> list[dict[str, str]]:
        versions = self._versions(owner)
        if not versions:
            raise KeyMissing(
                f"the keyring {self._file.path} has no key of owner {owner}: it is another or an"
                " older one than the database needs. Restore the keyring of the same backup."
            )
        return versions

    def _make(self, owner: UUID) -> None:
        with self._file.changing() as content:
            _refuse_destroyed(content, owner)
            versions = content.setdefault("owners", {}).setdefault(owner.hex, [])
            if not versions:  # another process may have been quicker
                _add_version(versions)

    def _signing(self, purpose: str) -> list[dict[str, str]]:
        content = self._file.content() or {}
        keys: list[dict[str, str]] = content.get("signing", {}).get(purpose, [])
        return keys

    def _make_signing(self, purpose: str) -> None:
        with self._file.changing() as content:
            keys = content.setdefault("signing", {}).setdefault(purpose, [])
            if not keys:
                _add_signing(purpose, keys)


def _refuse_destroyed(content: Content, owner: UUID) -> None:
    if owner.hex in content.get("destroyed", {}):
        raise KeyShredded(owner)


def _add_version(versions: list[dict[str, Any]]) -> int:
    versions.append({"key": encoded(os.urandom(KEY_BYTES)), "created_at": now().isoformat()})
    return len(versions)


def _add_signing(purpose: str, keys: list[dict[str, Any]]) -> str:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    keys.append(
        {
            "key": encoded(key.private_bytes_raw()),
            "public": encoded(public),
            "created_at": now().isoformat(),
        }
    )
    return signing_key_id(purpose, len(keys), public)


def _wrap(owner: UUID, versions: list[dict[str, str]], plaintext: bytes) -> WrappedKey:
    version = len(versions)
    nonce = os.urandom(_NONCE)
    head = _VERSION.pack(version) + nonce
    sealed = AESGCM(decoded(versions[-1]["key"])).encrypt(nonce, plaintext, _bound(owner, version))
    return WrappedKey(head + sealed, version)


def _unwrap(owner: UUID, versions: list[dict[str, str]], wrapped: bytes) -> bytes:
    if len(wrapped) != _VERSION.size + _NONCE + KEY_BYTES + 16:
        raise ValueError("a wrapped key of another length")
    (version,) = _VERSION.unpack_from(wrapped)
    if not 1 <= version <= len(versions):
        raise ValueError(f"wrapped by version {version}, which does not exist")
    nonce, sealed = wrapped[_VERSION.size :][:_NONCE], wrapped[_VERSION.size + _NONCE :]
    key = AESGCM(decoded(versions[version - 1]["key"]))
    try:
        return key.decrypt(nonce, sealed, _bound(owner, version))
    except InvalidTag as error:
        raise ValueError("a wrapped key that was changed, or another owner's") from error


def _bound(owner: UUID, version: int) -> bytes:
    return b"qcloud data key" + owner.bytes + _VERSION.pack(version)
