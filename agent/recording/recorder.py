"""A source's chunks, written into a file as they come."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.capture.source import Chunk, Connection, Kind, Source
from agent.recording.format import Header, chunk_line, connection_line, encode
from agent.spool.files import PRIVATE_FILE


class Recorder:
    """A recording holds payload in the clear: the file is readable by its owner alone."""

    def __init__(
        self,
        path: Path,
        source: Source,
        *,
        hostname: str = "",
        wanted: Callable[[Connection], bool] = lambda _: True,
    ) -> None:
        self._wanted = wanted
        self._source = source
        self._start_ns = time.monotonic_ns()
        self._known: set[int] = set()
        self.chunks = 0
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
        self._file = os.fdopen(descriptor, "wb")
        started = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        self._file.write(encode(Header(started_at=started, hostname=hostname)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, chunk: Chunk) -> None:
        """Chunks of a connection that nothing is known of are left out."""
        key = chunk.connection
        if key not in self._known and not self._introduce(key):
            return
        self._file.write(encode(chunk_line(chunk, self._start_ns)))
        self.chunks += 1
        if chunk.kind == Kind.CLOSE:
            self._known.discard(key)
            self._source.forget(key)

    def _introduce(self, key: int) -> bool:
        connection = self._source.connection(key)
        if connection is None or not self._wanted(connection):
            return False
        self._known.add(key)
        self._file.write(encode(connection_line(connection)))
        return True
