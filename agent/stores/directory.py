"""An object store in a directory: one file an object, named by its digest."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from agent.spool.files import is_full, make_private, write_whole
from agent.stores.base import PLAIN, ObjectMeta, StoreError
from wire.objects import access_url

RESERVE_BYTES: Final = 256 * 1024 * 1024
"""Left free on the disk: payloads are worth less than a running machine."""

_DIGEST: Final = re.compile(r"[0-9a-f]{40}\Z")


class DirectoryStore:
    """Flat as S3 is, 0700 with files 0600. Not fsynced: a payload may be lost with power."""

    kind = "directory"
    threads = 1

    def __init__(
        self,
        directory: Path,
        *,
        id: str = "directory",  # noqa: A002  the configuration's own word
        access_url: str = "",
        reserve: int = RESERVE_BYTES,
    ) -> None:
        self.id = id
        self.directory = directory
        self._access_url = access_url
        self._reserve = reserve

    def url(self, digest: str) -> str:
        """``BUCKET`` is the folder's name; there is no ``SCHEME`` and no ``ENDPOINT``."""
        return access_url(
            self._access_url, scheme="", endpoint="", bucket=self.directory.name, digest=digest
        )

    def put(self, digest: str, data: bytes, meta: ObjectMeta = PLAIN) -> str:
        del meta
        path = self._path(digest)
        if path.exists():
            return self.url(digest)
        try:
            if self._free() - len(data) < self._reserve:
                raise StoreError("disk-low", f"less than {self._reserve} bytes are free")
            write_whole(path, data, durable=False)
        except OSError as error:
            reason = "disk-full" if is_full(error) else "disk-error"
            raise StoreError(reason, f"{path}: {error}") from error
        return self.url(digest)

    def get(self, digest: str) -> bytes:
        try:
            return self._path(digest).read_bytes()
        except OSError as error:
            raise StoreError("not-found", f"{digest}: {error}") from error

    def check(self) -> None:
        try:
            make_private(self.directory)
            probe = self.directory / "check"
            write_whole(probe, b"", durable=False)
            probe.unlink()
        except OSError as error:
            raise StoreError(
                "disk-error", f"the object store {self.directory} cannot be written: {error}"
            ) from error
        if self._free() < self._reserve:
            raise StoreError(
                "disk-low",
                f"the disk of {self.directory} has less than {self._reserve} bytes free",
            )

    def close(self) -> None:
        """Nothing is open."""

    def _free(self) -> int:
        state = os.statvfs(self.directory)
        return state.f_bavail * state.f_frsize

    def _path(self, digest: str) -> Path:
        if not _DIGEST.match(digest):
            raise StoreError("bad-digest", f"{digest!r} is not the digest of an object")
        return self.directory / digest
