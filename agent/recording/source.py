"""A recording as a source of chunks."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from agent.capture.source import Chunk, Connection, DnsMessage
from agent.recording.format import (
    FORMAT,
    VERSION,
    CloseLine,
    ConnectionLine,
    DataLine,
    Header,
    Line,
    RecordingError,
    chunk_of,
    connection_of,
    decode,
)
from wire.protocol import ProbeState

AS_FAST_AS_POSSIBLE: Final = math.inf
_AT_ONCE: Final = 512
_NS: Final = 1_000_000_000


class RecordingSource:
    """``Source`` over a file.

    ``speed`` 1 feeds chunks at the recording's pace, N so many times faster, infinity at
    once. Distances in time stay as recorded, so durations are true; the whole is shifted
    so that it ends when its replay ends, and no event lies in the future.
    """

    def __init__(self, path: Path, *, speed: float = 1.0) -> None:
        if not speed > 0:
            raise RecordingError(f"the speed must be above 0, not {speed}")
        self._path = path
        self._speed = speed
        self._connections: dict[int, Connection] = {}
        self._file = _open(path)
        self._lines = self._read()
        self._next: DataLine | CloseLine | None = None
        try:
            self.header = self._header()
        except RecordingError:
            self._file.close()
            raise
        duration = _last_ns(path)
        self._began = time.monotonic_ns()
        self._start_ns = self._began + min(0, int(duration / speed) - duration)

    def poll(self, timeout_ms: int) -> Iterable[Chunk]:
        """Raises ``EOFError`` after the last chunk, ``RecordingError`` at a broken line."""
        chunks: list[Chunk] = []
        deadline = time.monotonic_ns() + timeout_ms * 1_000_000
        while len(chunks) < _AT_ONCE:
            line = self._next or self._advance()
            if line is None:
                if chunks:
                    return chunks
                raise EOFError
            wait = self._due(line) - time.monotonic_ns()
            if wait > 0:
                if chunks or time.monotonic_ns() >= deadline:
                    return chunks
                time.sleep(max(min(wait, deadline - time.monotonic_ns()), 0) / _NS)
                continue
            self._next = None
            chunks.append(self._chunk(line))
        return chunks

    def connection(self, key: int) -> Connection | None:
        return self._connections.get(key)

    def forget(self, key: int) -> None:
        self._connections.pop(key, None)

    def audit_dns(self, *, wanted: bool) -> None:
        """Recordings hold HTTP alone."""

    def dns(self) -> list[DnsMessage]:
        return []

    def forget_dns(self, socket: int) -> None:
        """There is none."""

    def lost(self) -> dict[str, int]:
        return {}

    def probes(self) -> list[ProbeState]:
        return [ProbeState(family="recording", active=True, attached=1)]

    def close(self) -> None:
        self._file.close()

    # -- inside --------------------------------------------------------------------

    def _due(self, line: DataLine | CloseLine) -> int:
        return self._began + int(line.ns / self._speed)

    def _chunk(self, line: DataLine | CloseLine) -> Chunk:
        try:
            return chunk_of(line, self._start_ns)
        except KeyError as error:
            raise RecordingError(f"{self._path}: unknown flow {error}") from error

    def _advance(self) -> DataLine | CloseLine | None:
        for line in self._lines:
            if isinstance(line, ConnectionLine):
                self._introduce(line)
            elif not isinstance(line, Header):
                self._next = line
                return line
        return None

    def _introduce(self, line: ConnectionLine) -> None:
        try:
            self._connections[line.key] = connection_of(line)
        except KeyError as error:
            raise RecordingError(f"{self._path}: unknown role {error}") from error

    def _header(self) -> Header:
        first = next(self._lines, None)
        if not isinstance(first, Header) or first.format != FORMAT:
            raise RecordingError(f"{self._path} is not a recording: its first line is no header")
        if first.version != VERSION:
            raise RecordingError(
                f"{self._path} has version {first.version}; this agent reads version {VERSION}"
            )
        return first

    def _read(self) -> Iterator[Line]:
        for number, raw in enumerate(self._file, 1):
            try:
                yield decode(raw)
            except msgspec.DecodeError as error:
                if not raw.endswith(b"\n"):
                    return  # the recorder was killed while it wrote its last line
                raise RecordingError(f"{self._path}, line {number}: {error}") from error


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}") from error


def _last_ns(path: Path) -> int:
    """Time of the last chunk, from the end of the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(size - 2 * 1024 * 1024, 0))
        tail = file.read().splitlines()
    for raw in reversed(tail):
        try:
            line = decode(raw)
        except msgspec.DecodeError:
            continue
        if isinstance(line, DataLine | CloseLine):
            return line.ns
    return 0
