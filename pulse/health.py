"""How the way from the agents' door into the event store is doing, for operators.

Counts and ages over all tenants, never what their events say.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db.models import Sum

from pulse.errors import StoreUnavailable
from pulse.models import Load, LoadState, TouchedHour
from pulse.spool.folder import CLOSED, OPEN
from pulse.store.gate import ask_as_system
from pulse.tables.aside import AsideBatch, AsideState
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped


@dataclass(frozen=True)
class PipelineHealth:
    """Taken at one moment. ``None``: nothing there to tell."""

    store_error: str
    """Empty while the event store answers."""
    store_rows: int | None
    spool_bytes: int
    spool_segments: int
    spool_free_bytes: int | None
    """Of the disk that the spool lies on; ``None``: there is no such folder here."""
    oldest_waiting: datetime | None
    """When the oldest batch that is not loaded yet was last written to."""
    quarantined: int
    """Stretches of the spool that could not be read."""
    set_aside: int
    """Batches that the event store refuses and nobody has decided about."""
    aside_bytes: int
    """What they take of the spool's room, with those that are decided and not done yet."""
    last_load: datetime | None
    rows_last_hour: int
    loads_pending: int
    hours_to_count: int
    """Hours whose usage waits for its recount."""

    @property
    def lag(self) -> timedelta:
        """Age of the oldest batch that is not in the event store."""
        return now() - self.oldest_waiting if self.oldest_waiting else timedelta(0)


def pipeline_health() -> PipelineHealth:
    """In system mode. An event store that does not answer is a finding, not an error."""
    error, rows = _store()
    folder = Path(settings.SPOOL_PATH)
    sizes = _files((*folder.glob(f"*{CLOSED}"), *folder.glob(f"*{OPEN}")))
    with unscoped("operators: counts of loads over all tenants"):
        loads = Load.objects.all()
        last = loads.filter(state=LoadState.DONE).order_by("-finished_at").first()
        recent = loads.filter(finished_at__gte=now() - timedelta(hours=1))
        rows_last_hour = recent.aggregate(total=Sum("rows"))["total"] or 0
        pending = loads.filter(state=LoadState.PENDING).count()
        hours = TouchedHour.objects.count()
        set_aside = AsideBatch.objects.filter(state=AsideState.KEPT).count()
    return PipelineHealth(
        store_error=error,
        store_rows=rows,
        spool_bytes=sum(size for size, _ in sizes),
        spool_segments=len(sizes),
        spool_free_bytes=shutil.disk_usage(folder).free if folder.is_dir() else None,
        oldest_waiting=min((moment for size, moment in sizes if size), default=None),
        quarantined=len(list((folder / "quarantine").glob("*"))),
        set_aside=set_aside,
        aside_bytes=sum(size for size, _ in _files((folder / "aside").glob(f"*{CLOSED}"))),
        last_load=last.finished_at if last else None,
        rows_last_hour=rows_last_hour,
        loads_pending=pending,
        hours_to_count=hours,
    )


def _store() -> tuple[str, int | None]:
    try:
        rows = ask_as_system(
            "operators: rows in the event store", "SELECT count() FROM requests", {}
        )
    except StoreUnavailable as error:
        return error.message, None
    return "", int(rows[0][0])


def _files(paths: Iterable[Path]) -> list[tuple[int, datetime]]:
    """Size and last change of each; the loader may finish one meanwhile."""
    found = []
    for path in paths:
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        found.append((status.st_size, datetime.fromtimestamp(status.st_mtime, UTC)))
    return found
