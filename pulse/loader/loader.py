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

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from uuid import UUID

import structlog
from django.db.models import QuerySet

from pulse.claims import begin_claim
from pulse.loader.aside import FRAME_OFFSET, REFUSALS, Named, Refused, keep, note, separate
from pulse.loader.block import Hour, block_of, by_kind, hours_of, quarters_of
from pulse.loader.deaths import Witness, is_suspect
from pulse.loader.ledger import Verdict, claim
from pulse.loader.refusals import PATIENCE, is_about_data
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
from pulse.tables.aside import AsideBatch, AsideState
from pulse.taken import note_taken
from qcloud.kernel.clock import now
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import unscoped

log = structlog.get_logger(__name__)

LOAD_BYTES: Final = 64 * 1024 * 1024
"""About 500,000 events; a load is made of whole segments and ends with the one that fills it."""
LOAD_SEGMENTS: Final = 500
LINGER_BYTES: Final = 24 * 1024 * 1024
"""About 200,000 events. With less than this the loader waits for more …"""
LINGER_SECONDS: Final = 1.5
"""… until the oldest segment is this old. Every load is a part that the engine must merge."""
_WAIT_SECONDS: Final = 0.5
_FORGOTTEN: Final = "from an agent's start that the ledger has forgotten; it may be counted already"


class Loader:
    """One spool's loader; the process holds the spool's ``loader`` lock."""

    def __init__(
        self,
        folder: SpoolFolder,
        store: Store,
        *,
        linger: float = LINGER_SECONDS,
        stop: threading.Event | None = None,
    ) -> None:
        """``stop``: set by another thread or a signal to end waiting for the store."""
        self._folder = folder
        self._store = store
        self._linger = linger
        self._stop = stop
        self._spool_id = folder.identity()
        self._book = RouteBook()
        self._tries: dict[UUID, int] = {}

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
            paths = [self._folder.path / name for name in last.segments]
            self._remove([path for path in paths if not self._is_kept(path)])

    def step(self) -> int | None:
        """Load what waits now, up to one block; returns the rows, ``None`` if nothing waits.

        Raises as ``recover`` does; call ``recover`` before the next step then.
        """
        paths = self._next_segments()
        if not paths:
            return None
        contents = read_segments(self._folder, paths)
        load, named = self._claim(paths, contents)
        frames = self._stored(load, named, self._insert)
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

    def heed(self) -> int:
        """Do what was decided about batches that are set aside; returns how many it was about.

        Raises as ``step`` does.
        """
        with unscoped("loader: batches that the event store refuses"):
            mine = AsideBatch.objects.filter(spool_id=self._spool_id)
            gone = ErasedAccount.objects.values("account_id")
            waiting = mine.filter(state__in=(AsideState.KEPT, AsideState.RETRY), load_id=None)
            waiting.filter(account_id__in=gone).update(state=AsideState.DROP)
            decided = list(mine.filter(state__in=(AsideState.RETRY, AsideState.DROP))[:100])
        for batch in decided:
            self._heed(batch)
        return len(decided)

    def _heed(self, batch: AsideBatch) -> None:
        path = self._folder.aside / batch.file
        # With a load of its own it was stored: ``recover`` has finished that.
        if batch.state == AsideState.RETRY and batch.load_id is None and not self._retry(batch):
            return
        path.unlink(missing_ok=True)
        done = AsideState.STORED if batch.state == AsideState.RETRY else AsideState.DROPPED
        with unscoped("loader: batches that the event store refuses"):
            AsideBatch.objects.filter(id=batch.id).update(state=done)
        log.info("loader: a batch that was set aside is done with", file=batch.file, state=done)

    def _retry(self, batch: AsideBatch) -> bool:
        """Whether it is in the store now. Its number was taken when it came, so the ledger is
        not asked again.
        """
        path = self._folder.aside / batch.file
        contents = read_segments(self._folder, [path] if path.exists() else [])
        if not contents.frames:
            with unscoped("loader: batches that the event store refuses"):
                mine = AsideBatch.objects.filter(id=batch.id)
                mine.update(state=AsideState.KEPT, reason="its file is damaged or missing")
            return False
        with unscoped("loader: batches that the event store refuses"):
            begin_claim()
            if _erased(contents):
                return False  # since it was decided; the next round drops it
            load = Load.objects.create(
                id=new_id(),
                spool_id=self._spool_id,
                segments=[f"{self._folder.aside.name}/{path.name}"],
                frames=[[path.name, FRAME_OFFSET]],
                rows=contents.rows,
            )
            AsideBatch.objects.filter(id=batch.id).update(load_id=load.id)
            touch(load.id, quarters_of([frame for _, frame in contents.frames]))
        frames = self._stored(load, contents.frames, self._insert)
        self._finish(load, hours_of(frames))
        return bool(frames)

    def _is_kept(self, path: Path) -> bool:
        """A file of a batch that is set aside goes when its row says so, not with its load."""
        return path.parent == self._folder.aside

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

    def _claim(self, paths: list[Path], contents: Contents) -> tuple[Load, list[Named]]:
        with unscoped("loader: the ledger of all agents"):
            begin_claim()
            verdicts = claim((frame.header for _, frame in contents.frames), now())
            erased = _erased(contents)
            found: dict[Verdict, list[Named]] = {verdict: [] for verdict in Verdict}
            for pair, verdict in zip(contents.frames, verdicts, strict=True):
                if pair[1].header.account_id not in erased:
                    found[verdict].append(pair)
            counted = found[Verdict.NEW]
            forgotten = [Refused(*pair, _FORGOTTEN) for pair in found[Verdict.FORGOTTEN]]
            keep(self._folder, forgotten)
            note(self._folder, forgotten)
            load = Load.objects.create(
                id=new_id(),
                spool_id=self._spool_id,
                segments=[path.name for path in paths],
                frames=[[name, frame.offset] for name, frame in counted],
                rows=sum(frame.header.rows for _, frame in counted),
                duplicates=verdicts.count(Verdict.REPEATED),
                damaged=contents.damaged,
            )
            note_taken(frame.header for _, frame in counted)
            touch(load.id, quarters_of([frame for _, frame in counted]))
        return load, counted

    def _stored(
        self, load: Load, named: list[Named], write: Callable[[Load, list[Frame]], None]
    ) -> list[Frame]:
        """The frames that are in the store now. What it refuses for its data is set aside."""
        try:
            write(load, [frame for _, frame in named])
        except REFUSALS as error:
            tries = self._tries[load.id] = self._tries.get(load.id, 0) + 1
            if not is_about_data(error, tries):
                raise
            named = self._separated(load, named)
        self._tries.pop(load.id, None)
        return [frame for _, frame in named]

    def _separated(self, load: Load, named: list[Named], tries: int = PATIENCE) -> list[Named]:
        witness = Witness(self._store, load.id, self._book, self._stop)
        return separate(self._folder, witness, load, named, tries=tries)

    def _insert(self, load: Load, frames: list[Frame]) -> None:
        for kind, some in by_kind(frames).items():
            insert_load(self._store, block_of(some, load.id, self._book), str(load.id), kind)
            # Counted, whatever the engine answers: the embedded one says that rows were written
            # when its disk was full and none was.
            if count_load(self._store, load.id, kind) != _rows(some):
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
        named = [(name, f) for name, f in contents.frames if (name, f.offset) in wanted]
        frames = [frame for _, frame in named]
        if len(frames) == len(wanted):
            self._finish(load, hours_of(self._stored_after_all(load, named)))
        elif count_load(self._store, load.id) == load.rows:
            self._finish(load, {Hour(*row) for row in hours_of_load(self._store, load.id)})
        else:
            self._salvage(load, frames, len(wanted) - len(frames))
        self._remove([path for path in present if not self._is_kept(path)])

    def _stored_after_all(self, load: Load, named: list[Named]) -> list[Frame]:
        if not is_suspect(self._store, load):
            return self._stored(load, named, self._settle)
        log.error(
            "loader: the event store died at each try of a load; its batches are tried apart",
            load=str(load.id),
            deaths=load.deaths,
            batches=len(named),
        )
        return [frame for _, frame in self._separated(load, named, tries=1)]

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
