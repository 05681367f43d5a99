"""Separating what the event store refuses from what it takes.

A load that is refused for its data, or of which the store dies (``deaths``), is cut in halves
until single frames are left that are refused alone. Those go into files of their own,
``aside/`` in the spool, each a segment with one frame; the rest is stored under the same load.
An operator has them tried again, or dropped (``qcloud spool``, the page of the platform's
health).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final, NamedTuple

import pyarrow as pa
import structlog

from pulse.loader.block import by_kind
from pulse.loader.deaths import Witness
from pulse.loader.refusals import PATIENCE, KillsStore, is_about_data, reason_of
from pulse.models import Load
from pulse.spool.folder import CLOSED, SpoolFolder, write_durably
from pulse.spool.frames import MARK_SIZE, OPENING_SIZE, Frame, encode_frame, opening
from pulse.store.client import ClickHouseError
from pulse.store.loads import count_load, delete_load
from pulse.tables.aside import AsideBatch, AsideState
from qcloud.kernel.scope import unscoped

log = structlog.get_logger(__name__)

Named = tuple[str, Frame]
"""The name of the segment, and a frame of it."""
# What making a block of strange columns raises; a defect that is none of these ends the loader.
UNUSABLE: Final = (pa.ArrowException, KeyError, ValueError, TypeError, OverflowError)
REFUSALS: Final = (ClickHouseError, KillsStore, *UNUSABLE)


class Refused(NamedTuple):
    segment: str
    frame: Frame
    reason: str


def separate(
    folder: SpoolFolder,
    witness: Witness,
    load: Load,
    frames: Sequence[Named],
    *,
    tries: int = PATIENCE,
) -> list[Named]:
    """Store what is taken, set the rest aside; returns what was stored, the load's from now on.

    ``tries``: how often all of it was refused. Killed anywhere, it can be done again. Raises
    ``StoreUnavailable``, ``ClickHouseError`` that is not about data, ``OSError``,
    ``RuntimeError`` (the counts differ afterwards).
    """
    store = witness.store
    names = {id(frame): name for name, frame in frames}
    refused: list[Refused] = []
    for kind, some in by_kind([frame for _, frame in frames]).items():
        if count_load(store, load.id, kind):
            delete_load(store, load.id, kind)
        found = _halve(witness, kind, some, tries)
        refused += [Refused(names[id(frame)], frame, reason) for frame, reason in found]
        bad = {id(frame) for frame, _ in found}
        rows = sum(frame.header.rows for frame in some if id(frame) not in bad)
        if (stored := count_load(store, load.id, kind)) != rows:
            raise RuntimeError(f"load {load.id} has {stored} rows of {kind} instead of {rows}")
    keep(folder, refused)
    bad = {id(each.frame) for each in refused}
    kept = [(name, frame) for name, frame in frames if id(frame) not in bad]
    _note(folder, load, kept, refused)
    return kept


def _halve(witness: Witness, kind: str, frames: list[Frame], tries: int) -> list[tuple[Frame, str]]:
    """Insert all of them but those that are refused alone; these come back."""
    try:
        witness.insert(kind, frames)
    except REFUSALS as error:
        if not is_about_data(error, tries):
            raise
        if len(frames) == 1:
            return [(frames[0], reason_of(error))]
        middle = len(frames) // 2
        parts = (frames[:middle], frames[middle:])
        return [each for part in parts for each in _halve(witness, kind, part, tries)]
    return []


def name_of(segment: str, frame: Frame) -> str:
    """The same each time, also for a batch that comes out of ``aside/`` and is refused again."""
    stem = segment.removesuffix(CLOSED)
    return segment if "-" in stem else f"{stem}-{frame.offset}{CLOSED}"


def keep(folder: SpoolFolder, refused: Sequence[Refused]) -> None:
    """Each in a file of its own; one that is there already stays. Raises ``OSError``."""
    for each in refused:
        path = folder.aside / name_of(each.segment, each.frame)
        if path.exists():
            continue
        mark = secrets.token_bytes(MARK_SIZE)
        head, payload = encode_frame(each.frame.header, each.frame.payload)
        write_durably(path, b"".join((opening(mark), mark, head, payload)))


def _note(
    folder: SpoolFolder, load: Load, kept: Sequence[Named], refused: Sequence[Refused]
) -> None:
    with unscoped("loader: batches that the event store refuses"):
        note(folder, refused)
        load.frames = [[name, frame.offset] for name, frame in kept]
        load.rows = sum(frame.header.rows for _, frame in kept)
        Load.objects.filter(id=load.id).update(frames=load.frames, rows=load.rows)


def note(folder: SpoolFolder, refused: Sequence[Refused]) -> None:
    """For an operator to decide. In the caller's system mode."""
    for each in refused:
        header = each.frame.header
        AsideBatch.objects.update_or_create(
            spool_id=folder.identity(),
            file=name_of(each.segment, each.frame),
            defaults={
                "account_id": header.account_id,
                "environment_id": header.environment_id,
                "agent_id": header.agent_id,
                "kind": header.kind,
                "rows": header.rows,
                "reason": each.reason,
                "state": AsideState.KEPT,
                "load_id": None,
                "decided_at": None,
            },
        )
        log.error(
            "loader: a batch is refused and set aside; decide with: qcloud spool",
            file=name_of(each.segment, each.frame),
            rows=header.rows,
            reason=each.reason,
        )


FRAME_OFFSET: Final = OPENING_SIZE
"""Of the one frame in a file of ``aside/``."""
