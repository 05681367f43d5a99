"""The bounded queue of batches on disk.

``<spool>/<boot id>/<sequence>-<events>.ndjson.zst``, before ``.ndjson`` the kind of the events
unless they are requests; boot ids are UUIDv7, so that their
names sort by time. A batch counts as spooled when file and name are fsynced. It gets its
number only then: numbers have no gaps, and none is ever used for other bytes.

When the bound in bytes is reached the newest events are dropped and the oldest kept: what
was promised first is delivered first, numbers stay without gaps, and after a long outage the
beginning of it, usually its cause, is there. The bound in age lets the oldest go: nobody
waits for last month's traffic.
"""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path
from typing import Final
from uuid import UUID

import zstandard

from agent.counters import Counters
from agent.logs import get_logger
from agent.spool.batch import REQUESTS, Batch, awake, batch_at, batch_name, compress, decompress
from agent.spool.files import HALF_WRITTEN, is_full, make_private, sync_directory, write_whole

SPOOL_LIMIT: Final = 512 * 1024 * 1024
SPOOL_SECONDS: Final = 7 * 24 * 3600.0
REJECTED_LIMIT: Final = 32 * 1024 * 1024

_log = get_logger()


class CorruptBatchError(Exception):
    """A spooled file does not hold what was written into it."""


class Spool:
    """Written by one thread, read by another; both may append."""

    def __init__(
        self,
        directory: Path,
        *,
        boot: UUID,
        counters: Counters,
        limit: int = SPOOL_LIMIT,
        seconds: float = SPOOL_SECONDS,
    ) -> None:
        """``limit``: bytes on disk; ``seconds``: how old a batch may become."""
        self.boot = boot
        self.limit = limit
        self._seconds = seconds
        self._directory = directory
        self._rejected = directory / "rejected"
        self._counters = counters
        self._changed = threading.Condition()
        self._numbering = threading.Lock()
        self._batches: deque[Batch] = deque()
        self._bytes = 0
        self._sequence = 0
        self._events = 0
        make_private(directory)
        make_private(self._rejected)
        self._recover()
        make_private(directory / str(boot))

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._bytes

    @property
    def waiting(self) -> tuple[int, int]:
        """Batches, and events in them."""
        with self._changed:
            return len(self._batches), self._events

    def append(self, lines: bytes, events: int, kind: str = REQUESTS) -> bool:
        """A batch of ``events`` lines, durable on return; ``False``: dropped and counted."""
        data = compress(lines)
        with self._numbering:
            return self._write(data, events, kind)

    def _write(self, data: bytes, events: int, kind: str) -> bool:
        if self._bytes + len(data) > self.limit:
            self._drop("spool-full", events)
            return False
        sequence = self._sequence + 1
        path = self._directory / str(self.boot) / batch_name(sequence, events, kind)
        try:
            write_whole(path, data, durable=True)
        except OSError as error:
            if not path.exists():
                self._drop("disk-full" if is_full(error) else "disk-error", events)
                return False
        batch = Batch(
            self.boot, sequence, events, len(data), path, recovered=False, since=awake(), kind=kind
        )
        with self._changed:
            self._sequence = sequence
            self._add(batch)
            self._changed.notify_all()
        self._counters.add("events_spooled", events)
        return True

    def first(self, timeout: float) -> Batch | None:
        """The oldest batch, waited for up to ``timeout`` seconds."""
        with self._changed:
            if not self._batches:
                self._changed.wait(timeout)
            return self._batches[0] if self._batches else None

    def read(self, batch: Batch) -> bytes:
        """Its bytes, the same each time.

        Raises ``CorruptBatchError``.
        """
        try:
            data = batch.path.read_bytes()
            if batch.recovered:
                decompress(data)
        except (OSError, zstandard.ZstdError) as error:
            raise CorruptBatchError(f"{batch.path}: {error}") from error
        return data

    def acknowledge(self, batch: Batch) -> None:
        """The platform has it: the file goes."""
        batch.path.unlink(missing_ok=True)
        self._take(batch)
        self._counters.add("events_acknowledged", batch.events)
        self._counters.add("batches_acknowledged")

    def set_aside(self, batch: Batch, reason: str) -> None:
        """A batch that nobody will take: kept in ``rejected/`` for an operator, and counted.

        Its number is not used again.
        """
        self._take(batch)
        self._drop(reason, batch.events)
        self._rejected_room(batch.size)
        self._put_aside(batch)

    def retire(self, batch: Batch) -> bytes:
        """The lines of a batch that must go out under other numbers.

        It leaves the queue before the lines come back. A crash right after loses them from
        the queue, not from ``rejected/``; the other order could deliver them twice.
        """
        lines = decompress(batch.path.read_bytes())
        self._take(batch)
        self._rejected_room(batch.size)
        self._put_aside(batch)
        return lines

    def expire(self) -> None:
        """Let go of what became too old. On the thread that sends: nothing of it is under way."""
        while (batch := self.first(0)) is not None and awake() - batch.since > self._seconds:
            batch.path.unlink(missing_ok=True)
            self._take(batch)
            self._drop("too-old", batch.events)
            _log.warning("a batch is given up: it waited too long for the platform",
                         sequence=batch.sequence, events=batch.events)  # fmt: skip

    def wake(self) -> None:
        """Whoever waits in ``first`` looks again."""
        with self._changed:
            self._changed.notify_all()

    # -- inside --------------------------------------------------------------------

    def _recover(self) -> None:
        """What earlier runs left, oldest first."""
        for directory in sorted(self._directory.iterdir()):
            boot = _boot_id(directory)
            if boot is None:
                continue
            for path in sorted(directory.iterdir()):
                self._recover_file(path, boot)
            _remove_if_empty(directory)
        if self._batches:
            _log.info("spool recovered", batches=len(self._batches), events=self._events)

    def _recover_file(self, path: Path, boot: UUID) -> None:
        if path.name.endswith(HALF_WRITTEN):
            path.unlink()
            self._counters.add("batches_half_written")
            _log.warning("half-written batch discarded", file=path.name)
            return
        batch = batch_at(path, boot)
        if batch is None:
            self._counters.add("batches_unknown")
            _log.warning("a file in the spool is none of this version's; left alone",
                         file=str(path))  # fmt: skip
            return
        self._add(batch)

    def _add(self, batch: Batch) -> None:
        self._batches.append(batch)
        self._bytes += batch.size
        self._events += batch.events

    def _take(self, batch: Batch) -> None:
        with self._changed:
            self._batches.remove(batch)
            self._bytes -= batch.size
            self._events -= batch.events
        if batch.boot != self.boot:
            _remove_if_empty(batch.path.parent)

    def _put_aside(self, batch: Batch) -> None:
        """Durably: a power cut must not bring it back, when it has perhaps gone out otherwise."""
        batch.path.rename(self._rejected / f"{batch.boot}-{batch.path.name}")
        sync_directory(self._rejected)
        if batch.path.parent.exists():
            sync_directory(batch.path.parent)

    def _drop(self, reason: str, events: int) -> None:
        self._counters.drop("event", reason, events)

    def _rejected_room(self, size: int) -> None:
        """Oldest out, so that ``rejected/`` stays bounded."""
        files = sorted(self._rejected.iterdir(), key=lambda path: path.stat().st_mtime)
        total = size + sum(path.stat().st_size for path in files)
        for path in files:
            if total <= REJECTED_LIMIT:
                return
            total -= path.stat().st_size
            path.unlink()
            self._counters.add("batches_rejected_forgotten")


def _boot_id(directory: Path) -> UUID | None:
    try:
        return UUID(directory.name)
    except ValueError:
        return None


def _remove_if_empty(directory: Path) -> None:
    if not any(directory.iterdir()):
        directory.rmdir()
