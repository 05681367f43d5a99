"""Where a configuration of one's own comes from: a file that may be replaced, or an address.

Both are looked at again and again, so that no kind of file system and no way of replacing
a file (rename, ConfigMap's symlinks) can be missed; a file's signature makes that cheap.
"""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

import urllib3

from agent.config.current import Configuration
from agent.logs import get_logger
from agent.proxies import Pools, ProxyError
from agent.reading import read_body
from wire.config.nodes import MAX_BYTES

FILE_SECONDS: Final = 1.0
URL_SECONDS: Final = 30.0
BODY_SECONDS: Final = 30.0
"""In which a document has to come as a whole."""
_SHOWN: Final = 300
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_TIMEOUT: Final = urllib3.Timeout(connect=10.0, read=30.0)

_log = get_logger()

Signature = tuple[int, int, int, int]


class SourceError(Exception):
    """The configuration cannot be read now; the message says why."""


class ConfigSource(Protocol):
    seconds: float
    """Between two looks."""

    def read(self) -> bytes | None:
        """The document, or ``None`` when it is as it was at the last call.

        Raises ``SourceError``.
        """
        ...


class FileSource:
    """A path, followed through symbolic links at each look."""

    seconds = FILE_SECONDS

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: Signature | None = None
        self._changing: Signature | None = None

    def read(self) -> bytes | None:
        """A file that is written in place is taken when it is the same at two looks: half a
        document may be one, without the filters that stood further down.
        """
        try:
            if self._seen is not None and not stat.S_ISREG(self._path.stat().st_mode):
                return None  # a pipe was read to its end; opening it again could wait for ever
            with self._path.open("rb") as file:
                state = os.fstat(file.fileno())
                signature = (state.st_dev, state.st_ino, state.st_mtime_ns, state.st_size)
                if signature == self._seen:
                    return None
                if self._in_place(signature):
                    self._changing = signature
                    return None
                self._seen = signature
                return file.read(MAX_BYTES + 1)
        except OSError as error:
            self._seen = None
            raise SourceError(f"{self._path}: {error.strerror}") from error

    def _in_place(self, signature: Signature) -> bool:
        """Whether the file that was read is being written over; a renamed one is whole."""
        same = self._seen is not None and self._seen[:2] == signature[:2]
        return same and self._changing != signature

    def forget(self) -> None:
        """The next look reads, whatever the signature says."""
        self._seen = None


class UrlSource:
    """``https://…``; asked with the ETag of the last answer."""

    def __init__(self, url: str, *, seconds: float = URL_SECONDS) -> None:
        """A user and a password before the host are sent. Raises ``SourceError``."""
        self.seconds = seconds
        self._url = url
        self._shown = shown(url)
        self._etag = ""
        self._last: bytes | None = None
        self._user = _user(url)
        try:
            self._pool = Pools(os.environ, timeout=_TIMEOUT, num_pools=1)
        except ProxyError as error:
            raise SourceError(str(error)) from error

    def read(self) -> bytes | None:
        headers = {**self._user, **({"If-None-Match": self._etag} if self._etag else {})}
        try:
            response = self._pool.request("GET", self._url, headers=headers, preload_content=False)
            try:
                body = read_body(response, MAX_BYTES + 1, BODY_SECONDS, decode=True)
            finally:
                response.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            why = self._pool.why(self._url, error).replace(self._url, self._shown)
            raise SourceError(f"{self._shown}: {why}") from error
        if response.status == 304:
            return None
        if response.status != 200:
            raise SourceError(f"{self._shown}: {_refusal(response)}")
        self._etag = response.headers.get("ETag", "")
        if body == self._last:
            return None
        self._last = body
        return body

    def forget(self) -> None:
        self._etag = ""
        self._last = None


def shown(where: str) -> str:
    """For logs and status: a path, or an address without user and query, which let people in."""
    if not where.startswith(("https://", "http://")):
        return where
    scheme, _, rest = where.partition("://")
    authority, slash, path = rest.partition("#")[0].partition("?")[0].partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


def _user(url: str) -> dict[str, str]:
    """Raises ``SourceError`` for what is no address."""
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SourceError(f"{shown(url)} is no address: write https://host/path")
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": urllib3.make_headers(basic_auth=pair)["authorization"]}


def _refusal(response: urllib3.BaseHTTPResponse) -> str:
    said = f"the answer was {response.status}"
    location = response.headers.get("Location", "")[:_SHOWN]
    if response.status not in _MOVED or not location:
        return said
    return f"{said}, to {location!r}: redirects are not followed; if it is right, name that address"


def source_of(where: str) -> FileSource | UrlSource:
    """By what ``--config`` says. Raises ``SourceError``."""
    if where.startswith(("https://", "http://")):
        return UrlSource(where)
    return FileSource(Path(where))


class Watcher:
    """The thread that looks for a new configuration, at once when it is told to."""

    def __init__(self, source: FileSource | UrlSource, configuration: Configuration) -> None:
        self._source = source
        self._configuration = configuration
        self._stop = threading.Event()
        self._now = threading.Event()
        self._reread = False
        self._unreadable = ""
        self._thread = threading.Thread(target=self._run, name="config", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def reload(self) -> None:
        """From a signal handler: read again, and say what became of it."""
        self._reread = True
        self._now.set()

    def stop(self, timeout: float) -> None:
        self._stop.set()
        self._now.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._now.wait(self._source.seconds)
            self._now.clear()
            if not self._stop.is_set():
                self._look()

    def _look(self) -> bool:
        asked, self._reread = self._reread, False
        if asked:
            self._source.forget()
        try:
            text = self._source.read()
        except SourceError as error:
            return self._cannot_read(str(error))
        self._unreadable = ""
        if text is None:
            return True
        taken = self._configuration.apply_text(text)
        if taken and asked:
            _log.info("configuration read again", reloads=self._configuration.state.reloads)
        return taken

    def _cannot_read(self, reason: str) -> bool:
        """Said once; a file that is being replaced is missing for a moment."""
        if reason != self._unreadable:
            self._unreadable = reason
            self._configuration.refuse(reason)
        return False
