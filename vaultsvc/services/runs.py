"""Runs: rotate every owner's keys if asked, then seal every value under the active ones.

A run is a row. Whoever carries it on holds an advisory lock of the database session, which
goes when the process dies; each batch moves the row's cursor in its own transaction, so the
next one goes on exactly there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from audit.services import record
from qcloud.kernel.clock import now
from qcloud.kernel.permissions import Actor, Permission, require, require_fresh
from qcloud.kernel.scope import unscoped
from vaultsvc import walk
from vaultsvc.errors import run_going
from vaultsvc.keys import held
from vaultsvc.models import Run
from vaultsvc.selectors import RunInfo, run_info
from vaultsvc.services.rotation import rewrap_owners, rotate_owner, waiting
from vaultsvc.walk import Batch, SealedColumn

BATCH: Final = 500
_LOCK: Final = "vaultsvc run"
_REWRAPPED: Final = "rewrapped"
"""The cursor before the first column, once the data keys are under the newest versions."""
Progress = Callable[[RunInfo], None]


def key_rotate_start(*, actor: Actor, owner: UUID | None = None) -> RunInfo:
    """Begin a run that gives ``owner`` (every owner) new keys and seals its values under them.

    ``run_carry_on`` does the work. Raises ``Denied``, ``StepUpNeeded``, ``Conflict`` while
    another run goes on.
    """
    require(actor, Permission.VAULTSVC_KEY_ROTATE)
    require_fresh(actor)
    return _start(actor, owner, rotates=True)


def key_rewrap_start(*, actor: Actor, owner: UUID | None = None) -> RunInfo:
    """Begin a run that seals what older data keys sealed under the active ones.

    Raises ``Denied``, ``Conflict`` while another run goes on.
    """
    require(actor, Permission.VAULTSVC_KEY_ROTATE)
    return _start(actor, owner, rotates=False)


def run_carry_on(
    *, actor: Actor, progress: Progress | None = None, batch: int = BATCH
) -> RunInfo | None:
    """Bring the run that is going on to its end; ``None`` when there is none, or another
    process is at it.

    May be killed at any point and called again. Raises ``SealerUnavailable``: the run stays,
    and the next call goes on. ``progress`` is called after each batch.
    """
    require(actor, Permission.VAULTSVC_KEY_ROTATE)
    with _alone() as ours:
        row = _going() if ours else None
        if row is None:
            return None
        # Another process may have rotated: what is active now is what counts.
        held.forget()
        for _ in _steps(row, batch):
            if progress:
                progress(run_info(row))
        return _finish(actor, row)


def _start(actor: Actor, owner: UUID | None, *, rotates: bool) -> RunInfo:
    row = Run(owner=owner, rotates=rotates, started_by=actor.label)
    with unscoped("vaultsvc: a run is over every tenant's values"):
        going = Run.objects.filter(finished_at=None).first()
        if going:
            raise run_going(going.done, going.total)
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError as error:
            raise run_going(0, 0) from error
        row.total = walk.count(owner) + (len(waiting(row)) if rotates else 0)
        row.save(update_fields=["total"])
        record(
            actor=actor,
            action="vaultsvc.key.rotate" if rotates else "vaultsvc.key.rewrap",
            object_kind="key_run",
            object_id=row.id,
            data={"owner": str(owner) if owner else "all", "total": row.total},
        )
    return run_info(row)


def _going() -> Run | None:
    with unscoped("vaultsvc: a run is over every tenant's values"):
        row: Run | None = Run.objects.filter(finished_at=None).first()
    return row


def _steps(row: Run, size: int) -> Iterator[None]:
    if row.rotates:
        yield from _rotate(row)
    if not row.column and row.cursor != _REWRAPPED:
        yield from _rewrap(row)
    for column in walk.sealed_columns():
        if column.name >= row.column:
            yield from _walk(row, column, size)


def _rotate(row: Run) -> Iterator[None]:
    with unscoped("vaultsvc: a run is over every tenant's values"):
        todo = waiting(row)
    for owner in todo:
        row.rotated += rotate_owner(owner)
        row.done += 1
        with unscoped("vaultsvc: a run is over every tenant's values"):
            row.save(update_fields=["rotated", "done"])
        yield


def _rewrap(row: Run) -> Iterator[None]:
    row.broken += rewrap_owners(row.owner)
    row.cursor = _REWRAPPED
    with unscoped("vaultsvc: a run is over every tenant's values"):
        row.save(update_fields=["broken", "cursor"])
    yield


def _walk(row: Run, column: SealedColumn, size: int) -> Iterator[None]:
    if row.column != column.name:
        row.column, row.cursor = column.name, ""
    while True:
        with unscoped("vaultsvc: a run is over every tenant's values"):
            batch = walk.reseal_batch(column, row.cursor, row.owner, size)
            if batch is None:
                return
            _count(row, batch)
            row.save(update_fields=["column", "cursor", "done", "resealed", "broken"])
        yield


def _count(row: Run, batch: Batch) -> None:
    row.cursor = batch.last
    row.done += batch.seen
    row.resealed += batch.resealed
    row.broken += batch.broken


def _finish(actor: Actor, row: Run) -> RunInfo:
    row.finished_at = now()
    with unscoped("vaultsvc: a run is over every tenant's values"):
        row.save(update_fields=["finished_at"])
        record(
            actor=actor,
            action="vaultsvc.run.finish",
            object_kind="key_run",
            object_id=row.id,
            data={
                "owner": str(row.owner) if row.owner else "all",
                "rotated": row.rotated,
                "values": row.done - row.rotated,
                "resealed": row.resealed,
                "broken": row.broken,
            },
        )
    return run_info(row)


@contextmanager
def _alone() -> Iterator[bool]:
    """Whether this session is the one that carries runs on."""
    ours = _ask("pg_try_advisory_lock")
    try:
        yield ours
    finally:
        # A connection that is gone has given up the lock; asking would open another one.
        if ours and connection.connection is not None and not connection.connection.closed:
            _ask("pg_advisory_unlock")


def _ask(function: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(hashtextextended(%s, 0))", [_LOCK])
        row = cursor.fetchone()
    return bool(row and row[0])
