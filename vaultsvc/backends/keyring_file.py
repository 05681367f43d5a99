"""The keyring's file: sealed under a root secret, written whole, locked across processes.

Layout: ``QCKR`` and a format byte, a 32-byte salt, a 12-byte nonce, then AES-256-GCM over
JSON. The file key is HKDF-SHA512 of the root secret with that salt, new at every write.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from qcloud.kernel.sealing import SealerUnavailable

MAGIC: Final = b"QCKR\x01"
_SALT: Final = 32
_NONCE: Final = 12
_INFO: Final = b"qcloud keyring file 1"
_SHORTEST_SECRET: Final = 32

Content = dict[str, Any]


class KeyringFile:
    """One file of keys and its root secret; both made at the first write, never at a read."""

    def __init__(self, path: Path, secret: str | None) -> None:
        """``secret``: ``None`` keeps it in a file of its own beside the keyring."""
        self._path = path
        self._given = secret
        self._read: tuple[bytes, Content] | None = None
        self._lock = threading.Lock()

    @property
    def path(self) -> Path:
        return self._path

    @property
    def secret_path(self) -> Path:
        return self._path.with_name(self._path.name + ".secret")

    def content(self) -> Content | None:
        """What the file holds, not to be changed; ``None`` before the first write.

        Read again when another process wrote it. Raises ``SealerUnavailable``.
        """
        with self._lock:
            try:
                descriptor = _open_private(self._path)
            except FileNotFoundError:
                return None
            with os.fdopen(descriptor, "rb") as handle:
                # The salt is new at every write; inode and time could come round again.
                mark = os.pread(descriptor, len(MAGIC) + _SALT, 0)
                if self._read is None or self._read[0] != mark:
                    self._read = (mark, self._opened(handle.read()))
            return self._read[1]

    @contextmanager
    def changing(self) -> Iterator[Content]:
        """The content to change; written and synced when the block ends without an error.

        One writer at a time on this machine. Raises ``SealerUnavailable``.
        """
        try:
            with self._locked():
                before = self.content()
                content: Content = json.loads(json.dumps(before)) if before else {}
                yield content
                self._write(content)
        except OSError as error:
            raise SealerUnavailable(
                f"the keyring {self._path} could not be written ({error.strerror}). The keys in"
                " it are unchanged; free space or mend the folder, then try again."
            ) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder = self._path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_shared_folder(folder)
        descriptor = os.open(self._path.with_name(self._path.name + ".lock"), _CREATE, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _write(self, content: Content) -> None:
        salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
        plaintext = json.dumps(content, separators=(",", ":")).encode()
        sealed = AESGCM(self._file_key(salt, make=True)).encrypt(nonce, plaintext, MAGIC)
        _write_private(self._path, MAGIC + salt + nonce + sealed)

    def _opened(self, raw: bytes) -> Content:
        head = len(MAGIC)
        if raw[:4] == MAGIC[:4] and raw[:head] != MAGIC:
            raise SealerUnavailable(
                f"the keyring {self._path} was written by a later version; use that version."
            )
        salt, nonce = raw[head : head + _SALT], raw[head + _SALT : head + _SALT + _NONCE]
        try:
            plaintext = AESGCM(self._file_key(salt, make=False)).decrypt(
                nonce, raw[head + _SALT + _NONCE :], raw[:head]
            )
        except (InvalidTag, ValueError) as error:
            raise SealerUnavailable(
                f"the keyring {self._path} does not open with this root secret, or is damaged."
                f" Check QCLOUD_KEYRING_SECRET or {self.secret_path}, or restore both files from"
                " one backup."
            ) from error
        content: Content = json.loads(plaintext)
        return content

    def _file_key(self, salt: bytes, *, make: bool) -> bytes:
        secret = self._given if self._given is not None else self._kept_secret(make=make)
        if len(secret) < _SHORTEST_SECRET:
            raise SealerUnavailable(
                f"the keyring's root secret has fewer than {_SHORTEST_SECRET} characters. Set"
                " QCLOUD_KEYRING_SECRET to the one that it was made with; a new one by:"
                " openssl rand -base64 48"
            )
        return HKDF(SHA512(), 32, salt, _INFO).derive(secret.encode())

    def _kept_secret(self, *, make: bool) -> str:
        try:
            descriptor = _open_private(self.secret_path)
        except FileNotFoundError:
            if not make or self._path.exists():
                raise SealerUnavailable(
                    f"the root secret {self.secret_path} is missing, and without it nothing in"
                    f" {self._path} can be read. Restore it from a backup, or set"
                    " QCLOUD_KEYRING_SECRET."
                ) from None
            return self._new_secret()
        with os.fdopen(descriptor, "r", encoding="ascii") as handle:
            return handle.read().strip()

    def _new_secret(self) -> str:
        made = secrets.token_urlsafe(48)
        _write_private(self.secret_path, f"{made}\n".encode())
        return made


_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


def encoded(raw: bytes) -> str:
    """Bytes as the JSON holds them."""
    return base64.b64encode(raw).decode("ascii")


def decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _open_private(path: Path) -> int:
    """A descriptor of a file that is ours alone; ``FileNotFoundError`` when there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SealerUnavailable(f"{path} cannot be opened: {error.strerror}.") from error
    reason = _not_private(os.fstat(descriptor))
    if reason:
        os.close(descriptor)
        raise SealerUnavailable(f"{path} {reason} chown {os.geteuid()} {path}; chmod 600 {path}")
    return descriptor


def _not_private(found: os.stat_result) -> str:
    if not stat.S_ISREG(found.st_mode):
        return "is not a plain file. Put the right one there, then:"
    if found.st_uid != os.geteuid():
        return f"belongs to user {found.st_uid}, not to the one that runs QCloud. Run:"
    if found.st_mode & 0o077:
        return "can be read by others, so its keys may be known. Find out why, then run:"
    return ""


def _refuse_shared_folder(folder: Path) -> None:
    found = folder.stat()
    if found.st_uid not in {os.geteuid(), 0} or found.st_mode & 0o022:
        raise SealerUnavailable(
            f"others can write to {folder}, and so replace the keyring in it."
            f" Run: chown {os.geteuid()} {folder}; chmod 700 {folder}"
        )


def _write_private(path: Path, raw: bytes) -> None:
    """Mode 0600; after a crash there is the old file or the new one, whole and on the disk."""
    scratch = path.with_name(f"{path.name}.new")
    try:
        scratch.unlink(missing_ok=True)
        descriptor = os.open(scratch, _CREATE | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(raw)
            handle.flush()
            os.fsync(handle.fileno())
        scratch.replace(path)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
