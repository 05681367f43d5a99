"""Telling a batch that kills the event store from a store that dies of something else.

An engine that crashes on a block says nothing of it: the connection ends, as it does when the
store is stopped, killed or cut off. So a load whose store was another process at each of its
last tries is only *suspected*, and separated. A batch alone is guilty when the store, having
lived undisturbed, died within its very statement, each of ``ALONE`` times, and took another
row into the same table before the last of them. Nothing else is ever set aside for it.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import pyarrow as pa
import structlog

from pulse.errors import StoreUnavailable
from pulse.loader.block import block_of
from pulse.loader.refusals import KillsStore
from pulse.models import Load
from pulse.routes.book import RouteBook
from pulse.spool.frames import Frame
from pulse.store.client import Store
from pulse.store.loads import Life, count_load, delete_load, insert_load, life_of
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import unscoped

log = structlog.get_logger(__name__)

SUSPECTED: Final = 3
"""Deaths of the store between two tries of one load, until its batches are tried apart."""
ALONE: Final = 3
"""Deaths within the statement of one batch alone, until it is set aside."""
QUIET_SECONDS: Final = 3
"""The store has lived at least this long when a batch is tried: who restarts it, or what makes
it crash as soon as it starts, is not taken for the batch."""
PATIENCE_SECONDS: Final = 300.0
"""For the store to come back. Then separating ends, and begins anew at the next try."""
_LOOK_SECONDS: Final = 0.25


def is_suspect(store: Store, load: Load) -> bool:
    """Whether the store has died too often between tries of this load. Notes this one.

    Raises ``StoreUnavailable``: it is down, and nothing is noted.
    """
    life = life_of(store)
    before = load.store_began
    if before is not None and life.is_another(Life(life.host, before, 0)):
        load.deaths += 1
    load.store_began = life.began
    with unscoped("loader: what was tried"):
        Load.objects.filter(id=load.id).update(deaths=load.deaths, store_began=life.began)
    return bool(load.deaths >= SUSPECTED)


class Witness:
    """Inserts pieces of one load, and sees whether the store survives them."""

    def __init__(
        self, store: Store, load_id: UUID, book: RouteBook, stop: threading.Event | None = None
    ) -> None:
        self.store = store
        self._load_id = load_id
        self._book = book
        self._stop = stop or threading.Event()
        self._taken: dict[str, list[Frame]] = {}

    def insert(self, kind: str, frames: list[Frame]) -> None:
        """As ``insert_load``; raises ``KillsStore`` beside what that raises.

        Several batches are tried once: what they are guilty of shows when they are cut.
        """
        for turn in range(1, (ALONE if len(frames) == 1 else 1) + 1):
            if turn == ALONE:
                self._take_another(kind)
            if self._survives(kind, frames):
                self._taken.setdefault(kind, []).extend(frames)
                return
            log.warning(
                "loader: the event store died within an insert",
                load=str(self._load_id), kind=kind, batches=len(frames), turn=turn,
            )  # fmt: skip
        raise KillsStore(ALONE)

    def _survives(self, kind: str, frames: list[Frame]) -> bool:
        block = block_of(frames, self._load_id, self._book)
        life = self._when_quiet()
        try:
            # A token of its own: the engine remembers those of earlier tries.
            insert_load(self.store, block, f"{self._load_id}/{new_id()}", kind)
        except StoreUnavailable:
            if not self._when_quiet().is_another(life):
                raise  # it lives: the network, or it was too slow
            return self._was_written(kind, block.num_rows)
        return True

    def _was_written(self, kind: str, rows: int) -> bool:
        """It may have died behind the last byte. Part of a piece is taken away again."""
        taken = self._taken.get(kind, [])
        before = sum(frame.header.rows for frame in taken)
        found = count_load(self.store, self._load_id, kind)
        if found not in {before, before + rows}:
            delete_load(self.store, self._load_id, kind)
            if taken:
                again = block_of(taken, self._load_id, self._book)
                insert_load(self.store, again, f"{self._load_id}/{new_id()}", kind)
        return found == before + rows

    def _take_another(self, kind: str) -> None:
        """One row of no account, gone at once. Raises as ``insert_load``: it takes none at all."""
        self._when_quiet()
        # The same each time, so that what a killed loader left is found.
        load_id = UUID(int=self._load_id.int ^ 1)
        if count_load(self.store, load_id, kind):
            delete_load(self.store, load_id, kind)
        insert_load(self.store, _row_of_nobody(load_id), f"{load_id}/{new_id()}", kind)
        found = count_load(self.store, load_id, kind)
        delete_load(self.store, load_id, kind)
        if found != 1:
            raise RuntimeError(f"the event store took {found} rows instead of one")

    def _when_quiet(self) -> Life:
        """Raises ``StoreUnavailable`` when it does not come back, or nobody wants to wait."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                life = life_of(self.store)
                if life.seconds >= QUIET_SECONDS:
                    return life
            except StoreUnavailable:
                if time.monotonic() > deadline or self._stop.is_set():
                    raise
            if self._stop.wait(_LOOK_SECONDS):
                raise StoreUnavailable(f"{self.store.settings.host} (the loader is stopping)")


def _row_of_nobody(load_id: UUID) -> pa.Table:
    nobody = pa.array([bytes(16)], pa.binary(16))
    moment = datetime.now(UTC)
    return pa.table({
        "account_id": nobody,
        "environment_id": nobody,
        "agent_id": nobody,
        "load_id": pa.array([load_id.bytes], pa.binary(16)),
        "timestamp": pa.array([moment], pa.timestamp("us", "UTC")),
        "received_at": pa.array([moment], pa.timestamp("ms", "UTC")),
    })  # fmt: skip
