"""Reading from a customer's object store. One class a kind of store, one interface."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path
from typing import Final, Protocol

from fleet.errors import ObjectDamaged
from fleet.models import StoreType
from fleet.selectors import ObjectStoreInfo
from qcloud.kernel.errors import Invalid, NotFound
from wire.objects import access_url, object_digest

MAX_OBJECT_BYTES: Final = 64 * 1024 * 1024
"""More is not loaded into a web process. Far above what an agent writes."""

_DIGEST: Final = re.compile(r"[0-9a-f]{40}")
_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR})


class ObjectReader(Protocol):
    def read(self, digest: str) -> bytes:
        """The object's bytes. ``digest`` is 40 hexadecimal digits.

        Raises ``NotFound`` and ``ObjectDamaged``, whose messages name the store.
        """


class DirectoryReader:
    """Files named by their digest, flat, right below one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, digest: str) -> bytes:
        try:
            # No link is followed: whoever writes to the store must not read our files by it.
            # Not blocking: a named pipe in the store must not hold the caller.
            handle = os.open(
                self._directory / digest, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            )
        except OSError as error:
            raise self._refusal(digest, error) from error
        try:
            self._check(digest, os.fstat(handle))
            with os.fdopen(handle, "rb", closefd=False) as file:
                return file.read(MAX_OBJECT_BYTES)
        finally:
            os.close(handle)

    def _check(self, digest: str, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise ObjectDamaged(f"{digest} in {self._directory} is not a file.")
        if status.st_size > MAX_OBJECT_BYTES:
            raise ObjectDamaged(
                f"Object {digest} is {status.st_size} bytes; at most {MAX_OBJECT_BYTES} are "
                f"shown here. Fetch it from {self._directory} yourself."
            )

    def _refusal(self, digest: str, error: OSError) -> NotFound | ObjectDamaged:
        if error.errno in _ABSENT:
            return NotFound(
                f"Object {digest} is not in the environment's store ({self._directory}). It may "
                "have been deleted there, or the agent has not written it yet.",
                code="fleet.object_missing",
            )
        return ObjectDamaged(
            f"Object {digest} cannot be read from {self._directory}: {error.strerror}."
        )


def reader_of(store: ObjectStoreInfo) -> ObjectReader:
    """Raises ``Invalid`` for a kind of store that this version cannot read."""
    if store.type == StoreType.DIRECTORY:
        return DirectoryReader(Path(store.path))
    raise Invalid(
        "Objects in an S3 store are not read here: they stay in the store. Open this one there"
        " instead.",
        code="fleet.object_elsewhere",
    )


def read_object(store: ObjectStoreInfo, digest: str) -> bytes:
    """The object, once it is what its name promises.

    Raises ``Invalid`` (no digest), ``NotFound``, ``ObjectDamaged``.
    """
    if not _DIGEST.fullmatch(digest):
        raise Invalid("An object is named by 40 hexadecimal digits in lower case.")
    data = reader_of(store).read(digest)
    if object_digest(data) != digest:
        raise ObjectDamaged(
            f"Object {digest} in {store.path} was changed after the agent wrote it: its content "
            "no longer matches its name. Restore it from a copy."
        )
    return data


def address_of(store: ObjectStoreInfo, digest: str) -> str:
    """The object's address by the store's ``access_url``; empty without one that browsers open.

    For a store that the platform has keys to there is ``fleet.signed.signed_address``. Raises
    ``Invalid`` (no digest).
    """
    if not _DIGEST.fullmatch(digest):
        raise Invalid("An object is named by 40 hexadecimal digits in lower case.")
    if not store.access_url.startswith(("https://", "http://")):
        return ""
    return access_url(
        store.access_url,
        scheme="http" if store.insecure else "https",
        endpoint=store.endpoint,
        bucket=store.bucket or Path(store.path).name,
        digest=digest,
    )
