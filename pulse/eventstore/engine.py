"""The engine in this process: one statement on one handle, under the store's bounds."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pulse.eventstore.embedded import chdb

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
_CODE: Final = re.compile(r"Code: (\d+)")
# Only formats without header or footer may be sent as the engine hands out its blocks.
_STREAMED: Final = frozenset({"Native", "TabSeparated", "TSV", "CSV", "RowBinary", "JSONEachRow"})
_BOUNDED: Final = {"max_execution_time": "query_seconds", "max_memory_usage": "query_memory"}
TOO_MANY: Final = 202
"""ClickHouse's TOO_MANY_SIMULTANEOUS_QUERIES."""


class EngineError(Exception):
    """A statement failed as ClickHouse words it: ``Code: 60. DB::Exception: …``."""

    def __init__(self, message: str) -> None:
        start = message.find("Code: ")
        self.message = message[max(start, 0) :].strip()
        match = _CODE.search(self.message)
        self.code = int(match[1]) if match else 1001  # STD_EXCEPTION
        super().__init__(self.message)


@dataclass(frozen=True)
class Summary:
    """What ``X-ClickHouse-Summary`` reports."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    elapsed_ns: int = 0


@dataclass(frozen=True)
class Limits:
    query_seconds: int
    query_memory: int
    """Bytes."""
    concurrent: int
    queue_seconds: float


@dataclass(frozen=True)
class Answer:
    """A result: blocks of bytes, and a summary that is complete only without streaming."""

    blocks: Iterator[bytes]
    summary: Summary


class Engine:
    """Owns the engine of this process; there can be one path a process."""

    def __init__(self, path: Path, *, max_memory: int, limits: Limits) -> None:
        """Raises ``EngineError`` when the engine refuses the folder."""
        self._path = str(path)
        self._limits = limits
        self._slots = threading.BoundedSemaphore(limits.concurrent)
        options = f"?max_server_memory_usage={max_memory}&mark_cache_size={max_memory // 16}"
        with _translated():
            # Kept open for the life of the process: the engine stops with its last handle.
            self._anchor = chdb.connect(self._path + options)

    def close(self) -> None:
        """Let the engine write what it holds and stop.

        No statement may run: the engine's memory goes, and a thread in it reads what is gone.
        """
        self._anchor.close()

    def cancel_all(self) -> None:
        """Asks every statement to end; it may take a moment, and some cannot."""
        with _translated():
            self._anchor.query("KILL QUERY WHERE query NOT LIKE 'KILL QUERY%' ASYNC")

    @contextmanager
    def statement(self, database: str, settings: Mapping[str, str]) -> Iterator[Statement]:
        """A fresh handle with these settings, gone afterwards: nothing leaks to the next one.

        Raises ``EngineError``, with code 202 when no slot comes free in time.
        """
        if not self._slots.acquire(timeout=self._limits.queue_seconds):
            raise EngineError(
                f"Code: {TOO_MANY}. DB::Exception: Too many simultaneous queries. Maximum:"
                f" {self._limits.concurrent}. (TOO_MANY_SIMULTANEOUS_QUERIES)"
            )
        try:
            with _translated():
                handle = chdb.connect(self._path)
            statement = Statement(handle)
            try:
                statement.prepare(database, self._bounded(settings))
                yield statement
            finally:
                statement.close()
        finally:
            self._slots.release()

    def _bounded(self, settings: Mapping[str, str]) -> dict[str, str]:
        """The client's settings; where we have a bound it may only ask for less."""
        chosen = dict(settings)
        for name, attribute in _BOUNDED.items():
            bound = getattr(self._limits, attribute)
            asked = chosen.get(name, "")
            within = asked.isdigit() and 0 < int(asked) <= bound
            chosen[name] = asked if within else str(bound)
        # Last, because no setting can be changed after it.
        readonly = chosen.pop("readonly", None)
        return chosen if readonly is None else {**chosen, "readonly": readonly}


class Statement:
    """One handle of the engine, used for one statement."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._result: Any = None

    def close(self) -> None:
        """The handle goes, and before it a result whose reader went away half-way."""
        try:
            if self._result is not None:
                with _translated():
                    self._result.close()
        finally:
            self._handle.close()

    def prepare(self, database: str, settings: Mapping[str, str]) -> None:
        with _translated():
            for name in settings:
                if not _NAME.match(name):
                    raise EngineError(
                        f"Code: 115. DB::Exception: Unknown setting {name!r}. (UNKNOWN_SETTING)"
                    )
            if settings:
                # One statement: each costs a third of a millisecond.
                pairs = ", ".join(f"{name} = {_quoted(value)}" for name, value in settings.items())
                self._handle.query(f"SET {pairs}")
            if database and database != "default":
                self._handle.query(f"USE `{database.replace('`', '``')}`")

    def run(self, sql: str, output_format: str) -> Answer:
        """Run a statement that carries no data of an INSERT."""
        with _translated():
            if output_format in _STREAMED and _reads(sql):
                return Answer(self._stream(sql, output_format), Summary())
            result = self._handle.query(sql, output_format)
            return Answer(iter((result.bytes() or b"",)), _summary_of(result))

    def insert(self, sql: str, input_format: str, chunks: Iterable[bytes]) -> Summary:
        """Run ``INSERT INTO …`` with its data in ``input_format``."""
        with _translated():
            inserter = self._handle.send_insert(sql, input_format)
            try:
                for chunk in chunks:
                    inserter.append(chunk)
            except BaseException:
                # The client went away or its data is broken: nothing may be committed.
                inserter.cancel()
                raise
            result = inserter.finish()
        return Summary(
            written_rows=result.rows_written,
            written_bytes=result.bytes_written,
            elapsed_ns=int(result.elapsed * 1e9),
        )

    def _stream(self, sql: str, output_format: str) -> Iterator[bytes]:
        with _translated():
            result = self._result = self._handle.send_query(sql, output_format)
        while True:
            with _translated():
                block = next(result, None)
            if block is None:
                return
            yield block.bytes()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except EngineError:
        raise
    # The binding raises its own error for queries and RuntimeError for the rest.
    except (RuntimeError, chdb.ChdbError) as error:
        raise EngineError(str(error)) from error


def _reads(sql: str) -> bool:
    """Whether the statement yields rows that can be taken block by block."""
    return sql.lstrip(" \t\r\n(").upper().startswith(("SELECT", "WITH"))


def _summary_of(result: Any) -> Summary:
    return Summary(
        read_rows=result.rows_read(),
        read_bytes=result.bytes_read(),
        written_rows=result.rows_written(),
        written_bytes=result.bytes_written(),
        elapsed_ns=int(result.elapsed() * 1e9),
    )


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
