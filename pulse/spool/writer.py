"""Group commit: one thread writes and syncs, everybody waits for the sync that holds theirs."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import UUID

import structlog

from pulse.errors import SpoolFailed, SpoolFull, SpoolShare
from pulse.spool.accounts import Waiting
from pulse.spool.folder import SpoolFolder
from pulse.spool.frames import FrameHeader, encode_frame
from pulse.spool.segment import Buffer, Segment, finish, recover

log = structlog.get_logger(__name__)

SEGMENT_BYTES: Final = 64 * 1024 * 1024
SEGMENT_ROWS: Final = 200_000
COMMIT_BYTES: Final = 32 * 1024 * 1024
"""Of one write and sync, and one batch more."""
SEGMENT_SECONDS: Final = 1.0
DEFAULT_LIMIT: Final = 4 * 1024**3


@dataclass(frozen=True)
class _Queued:
    account: UUID
    buffers: tuple[Buffer, Buffer]
    rows: int
    done: Future[None] = field(default_factory=Future)

    @property
    def size(self) -> int:
        return len(self.buffers[0]) + len(self.buffers[1])


class SpoolWriter:
    """Appends frames to the spool. One a spool; holds its ``ingest`` lock."""

    def __init__(self, folder: SpoolFolder, *, limit: int = DEFAULT_LIMIT) -> None:
        """``limit``: bytes of all segments and of what is set aside. One account may have as
        many waiting or aside as are left free: half of them when it is alone, a third each when
        two are behind. So whoever has nothing waiting finds room, whatever the others send.

        Raises ``SpoolInUse``, ``OSError``.
        """
        self._folder = folder
        self._limit = limit
        self._lock = folder.lock("ingest")
        recover(folder)
        self._queue: deque[_Queued] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._accounts = Waiting(folder)
        self._backlog = folder.size() + self._accounts.look_aside(folder)
        self._segment: Segment | None = None
        self._unfinished: list[Path] = []
        self._thread = threading.Thread(target=self._run, name="spool-writer", daemon=True)
        self._thread.start()

    @property
    def backlog(self) -> int:
        """Bytes that wait for the loader, for the disk or, set aside, for an operator."""
        return self._backlog

    def append(self, header: FrameHeader, payload: memoryview) -> Future[None]:
        """Queue one batch. The future ends when it is on disk, or with ``SpoolFailed``.

        Raises ``SpoolFull``, ``SpoolShare``.
        """
        waiting = _Queued(header.account_id, encode_frame(header, payload), header.rows)
        with self._changed:
            if self._stopping:
                raise SpoolFailed("the ingest process is stopping")
            if self._backlog + waiting.size > self._limit:
                raise SpoolFull(self._limit)
            has = self._accounts[waiting.account]
            if has and has + waiting.size > self._limit - self._backlog:
                raise SpoolShare(has, self._limit)
            self._backlog += waiting.size
            self._accounts.queued(waiting.account, waiting.size)
            self._queue.append(waiting)
            self._changed.notify()
        return waiting.done

    def close(self) -> None:
        """Write what waits, hand the segment to the loader, give up the lock."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()
        self._lock.close()

    def _run(self) -> None:
        while True:
            batch, stopping = self._take()
            if batch:
                self._commit(batch)
            if self._segment is None:
                # Nothing may be let in, and so nothing rotate, before the loader has made room.
                self._finish_others()
                self._recount()
            elif stopping or self._is_full(self._segment):
                self._rotate()
            if stopping and not self._queue:
                return

    def _take(self) -> tuple[list[_Queued], bool]:
        """What is queued now; waits for something, or until the open segment is due."""
        with self._changed:
            if not self._queue and not self._stopping:
                self._changed.wait(self._due_in() if self._segment or self._backlog else None)
            taken = self._share()
            # Whoever gave up waiting was told nothing; from here on nobody can any more.
            batch = [waiting for waiting in taken if waiting.done.set_running_or_notify_cancel()]
            self._drop([waiting for waiting in taken if waiting.done.cancelled()])
            return batch, self._stopping

    def _drop(self, given_up: list[_Queued]) -> None:
        for waiting in given_up:
            self._backlog -= waiting.size
            self._accounts.dropped(waiting.account, waiting.size)

    def _share(self) -> list[_Queued]:
        """The oldest that waits, then small before large: one write is bounded, and whoever
        sends little does not wait for the sync of all that another sends.
        """
        if not self._queue:
            return []
        chosen = [self._queue.popleft()]
        size = chosen[0].size
        for waiting in sorted(self._queue, key=lambda w: w.size):
            size += waiting.size
            if size > COMMIT_BYTES:
                break
            chosen.append(waiting)
        left = {id(waiting) for waiting in chosen}
        self._queue = deque(waiting for waiting in self._queue if id(waiting) not in left)
        return chosen

    def _commit(self, batch: list[_Queued]) -> None:
        try:
            segment = self._segment = self._segment or Segment(self._folder)
            buffers = [part for waiting in batch for part in (segment.mark, *waiting.buffers)]
            segment.append(buffers, sum(waiting.rows for waiting in batch))
        except OSError as error:
            log.exception("spool: a write failed", batches=len(batch))
            self._refuse(batch, SpoolFailed(error.strerror or str(error)))
            return
        with self._changed:
            for waiting in batch:
                self._accounts.written(segment.name, waiting.account, waiting.size)
        for waiting in batch:
            waiting.done.set_result(None)

    def _refuse(self, batch: list[_Queued], reason: SpoolFailed) -> None:
        # The file may be in a state that we do not know: go on in another one.
        if self._segment is not None:
            self._rotate()
        with self._changed:
            self._drop(batch)
        self._recount()
        for waiting in batch:
            waiting.done.set_exception(reason)

    def _is_full(self, segment: Segment) -> bool:
        return segment.size >= SEGMENT_BYTES or segment.rows >= SEGMENT_ROWS or self._due_in() <= 0

    def _due_in(self) -> float:
        """Seconds; without a segment, until it is looked again what the loader has removed."""
        opened = self._segment.opened_at if self._segment else time.monotonic()
        return max(opened + SEGMENT_SECONDS - time.monotonic(), 0.0)

    def _rotate(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            try:
                segment.close()
            except OSError:
                # It stays ``.open`` with every frame in it.
                log.exception("spool: a segment could not be closed, and is tried again")
                self._unfinished.append(segment.path)
        self._finish_others()
        self._recount()

    def _finish_others(self) -> None:
        """What was acknowledged in them waits for nobody but us."""
        for path in self._unfinished[:]:
            try:
                finish(self._folder, path)
            except OSError as error:
                log.warning("spool: a segment is still open", name=path.name, reason=str(error))
                return
            self._unfinished.remove(path)
            log.info("spool: a segment is closed after all", name=path.name)

    def _recount(self) -> None:
        """What the loader has removed since the last time no longer counts."""
        with self._changed:
            queued = sum(waiting.size for waiting in self._queue)
            aside = self._accounts.look_aside(self._folder)
            self._backlog = self._folder.size() + aside + queued
            self._accounts.only(self._folder.segment_names())
