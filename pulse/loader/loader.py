"""The loader's steps. Each may be the last one before a kill; the next start goes on.

1. *claim*: one PostgreSQL transaction takes the batch numbers and writes the pending load.
2. *insert*: paths are learned from; one block a kind of event into the event store, on disk
   when the call returns.
3. *finish*: one transaction marks the load done and the hours as touched.
4. *remove*: the segments are unlinked.

Killed before 1 commits, nothing has happened. Between 1 and 3 the pending load tells what
to look for in the store. Between 3 and 4 the done load tells which segments are finished.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final
from uuid import UUID

import structlog
from django.db.models import QuerySet

from pulse.loader.block import Hour, block_of, by_kind, hours_of, quarters_of
from pulse.loader.ledger import claim
from pulse.loader.segments import Contents, read_segments
from pulse.models import ErasedAccount, Load, LoadState, TouchedHour
from pulse.rollups.spans import touch
from pulse.routes.book import RouteBook
from pulse.spool.folder import SpoolFolder
from pulse.spool.frames import Frame
from pulse.store.client import Store
from pulse.store.loads import (
    count_load,
    delete_load,
    hours_of_load,
    insert_load,
    running_loads,
)
from qcloud.kernel.clock import now
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import unscoped

log = structlog.get_logger(__name__)

LOAD_BYTES: Final = 64 * 1024 * 1024
"""About 300,000 events; a load is made of whole segments and ends with the one that fills it."""
LOAD_SEGMENTS: Final = 500
LINGER_BYTES: Final = 24 * 1024 * 1024
"""About 100,000 events. With less than this the loader waits for more …"""
LINGER_SECONDS: Final = 1.5
"""… until the oldest segment is this old. Every load is a part that the engine must merge."""
_WAIT_SECONDS: Final = 0.5


class Loader:
    """One spool's loader; the process holds the spool's ``loader`` lock."""

    def __init__(
        self, folder: SpoolFolder, store: Store, *, linger: float = LINGER_SECONDS
    ) -> None:
        self._folder = folder
        self._store = store
        self._linger = linger
        self._spool_id = folder.identity()
        self._book = RouteBook()

    def recover(self) -> None:
        """Finish what a killed loader began. Call once, before ``step``.

        Raises ``StoreUnavailable``, ``OSError`` or a database error: call it again then.
        """
        with unscoped("loader: what a killed one left"):
            pending = list(self._loads(LoadState.PENDING).order_by("id"))
        for load in pending:
            self._resume(load)
        with unscoped("loader: what a killed one left"):
            # Segments are removed before the next load begins: only the last can have left any.
            last = self._loads(LoadState.DONE).order_by("-finished_at").first()
        if last is not None:
            self._remove([self._folder.path / name for name in last.segments])

    def step(self) -> int | None:
        """Load what waits now, up to one block; returns the rows, ``None`` if nothing waits.

        Raises as ``recover`` does; call ``recover`` before the next step then.
        """
        paths = self._next_segments()
        if not paths:
            return None
        contents = read_segments(self._folder, paths)
        load, frames = self._claim(paths, contents)
        self._insert(load, frames)
        self._finish(load, hours_of(frames))
        self._remove(paths)
        log.info(
            "loaded",
            load=str(load.id),
            rows=load.rows,
            batches=len(frames),
            duplicates=load.duplicates,
            damaged=load.damaged,
        )
        return load.rows

    def _next_segments(self) -> list[Path]:
        chosen: list[Path] = []
        size = 0
        oldest = time.time()
        for path in self._folder.closed_segments()[:LOAD_SEGMENTS]:
            chosen.append(path)
            facts = path.stat()
            size += facts.st_size
            oldest = min(oldest, facts.st_mtime)
            if size >= LOAD_BYTES:
                break
        waits = size < LINGER_BYTES and 0 <= time.time() - oldest < self._linger
        return [] if waits else chosen

    def _claim(self, paths: list[Path], contents: Contents) -> tuple[Load, list[Frame]]:
        with unscoped("loader: the ledger of all agents"):
            verdicts = claim(frame.header for _, frame in contents.frames)
            erased = _erased(contents)
            counted = [
                pair
                for pair, counts in zip(contents.frames, verdicts, strict=True)
                if counts and pair[1].header.account_id not in erased
            ]
            load = Load.objects.create(
                id=new_id(),
                spool_id=self._spool_id,
                segments=[path.name for path in paths],
                frames=[[name, frame.offset] for name, frame in counted],
                rows=sum(frame.header.rows for _, frame in counted),
                duplicates=verdicts.count(False),
                damaged=contents.damaged,
            )
            touch(load.id, quarters_of([frame for _, frame in counted]))
        return load, [frame for _, frame in counted]

    def _insert(self, load: Load, frames: list[Frame]) -> None:
        for kind, some in by_kind(frames).items():
            written = insert_load(
                self._store, block_of(some, load.id, self._book), str(load.id), kind
            )
            if written != _rows(some):
                self._settle_kind(load.id, kind, some)

    def _settle(self, load: Load, frames: list[Frame]) -> None:
        """Compare the store with the load, and make them equal."""
        for kind, some in by_kind(frames).items():
            self._settle_kind(load.id, kind, some)

    def _settle_kind(self, load_id: UUID, kind: str, frames: list[Frame]) -> None:
        self._wait_for(str(load_id))
        rows = _rows(frames)
        found = count_load(self._store, load_id, kind)
        if found == rows:
            return
        log.warning(
            "loader: a load was not whole", load=str(load_id), kind=kind, found=found, rows=rows
        )
        token = str(load_id)
        if found:
            delete_load(self._store, load_id, kind)
            # The engine remembers the old token and would take the rows for a repetition.
            token = f"{load_id}/{new_id()}"
        insert_load(self._store, block_of(frames, load_id, self._book), token, kind)
        found = count_load(self._store, load_id, kind)
        if found != rows:
            raise RuntimeError(
                f"load {load_id} has {found} rows of the kind {kind} in the event store instead"
                f" of {rows}; it stays pending and is tried again"
            )

    def _wait_for(self, token: str) -> None:
        """An insert of a killed loader may still run in the engine."""
        while any(running.startswith(token) for running in running_loads(self._store)):
            log.info("loader: waiting for an insert under way", load=token)
            time.sleep(_WAIT_SECONDS)

    def _resume(self, load: Load) -> None:
        paths = [self._folder.path / name for name in load.segments]
        present = [path for path in paths if path.exists()]
        wanted = {(name, offset) for name, offset in load.frames}
        contents = read_segments(self._folder, present)
        frames = [f for name, f in contents.frames if (name, f.offset) in wanted]
        if len(frames) == len(wanted):
            self._settle(load, frames)
            self._finish(load, hours_of(frames))
        elif count_load(self._store, load.id) == load.rows:
            self._finish(load, {Hour(*row) for row in hours_of_load(self._store, load.id)})
        else:
            self._salvage(load, frames, len(wanted) - len(frames))
        self._remove(present)

    def _salvage(self, load: Load, frames: list[Frame], missing: int) -> None:
        """Store what the spool still has of a load, and say that it is not all."""
        log.error(
            "loader: frames of a load have vanished from the spool; their events are lost",
            load=str(load.id),
            missing=missing,
            rows_kept=_rows(frames),
        )
        for kind, some in by_kind(frames).items():
            if count_load(self._store, load.id, kind) < _rows(some):
                delete_load(self._store, load.id, kind)
                insert_load(
                    self._store, block_of(some, load.id, self._book), f"{load.id}/{new_id()}", kind
                )
        hours = {Hour(*row) for row in hours_of_load(self._store, load.id)}
        self._finish(load, hours, LoadState.LOST)

    def _finish(self, load: Load, hours: set[Hour], state: LoadState = LoadState.DONE) -> None:
        with unscoped("loader: a load is done"):
            Load.objects.filter(id=load.id).update(state=state, finished_at=now())
            TouchedHour.objects.bulk_create(
                [_touched(hour) for hour in sorted(hours)], batch_size=1_000
            )

    def _remove(self, paths: list[Path]) -> None:
        for path in paths:
            path.unlink(missing_ok=True)

    def _loads(self, state: LoadState) -> QuerySet[Load]:
        loads: QuerySet[Load] = Load.objects.filter(spool_id=self._spool_id, state=state)
        return loads


def _rows(frames: list[Frame]) -> int:
    return sum(frame.header.rows for frame in frames)


def _erased(contents: Contents) -> set[UUID]:
    """Accounts of these frames whose events nobody may keep. In the claim's transaction."""
    accounts = {frame.header.account_id for _, frame in contents.frames}
    found = ErasedAccount.objects.filter(account_id__in=accounts)
    return set(found.values_list("account_id", flat=True))


def _touched(hour: Hour) -> TouchedHour:
    return TouchedHour(
        account_id=hour.account_id, environment_id=hour.environment_id, hour=hour.start
    )
