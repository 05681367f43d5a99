"""How a worker writes exports: page after page into a file on its disk that has no name, then
in sealed pieces into the database, in one transaction with the word that it is there. Whoever
dies on the way leaves a claim that runs out; the next one begins anew.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable
from datetime import timedelta
from tempfile import TemporaryFile
from typing import IO, Final

import structlog
from django.db.models import Q

from audit.services import record
from identity.brands import mail_brand
from identity.selectors import account, scope_of, staff
from notify.services import mail_send
from pulse.exports.filters import limited, restored
from pulse.exports.writing import write_pages
from pulse.policies import EXPORT_KEPT
from pulse.store.client import Store
from pulse.store.pages import request_pages
from pulse.tables.exports import ExportState, TrafficExport, TrafficExportPiece
from qcloud.kernel.clock import now, told
from qcloud.kernel.errors import QCloudError
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import Scope, scoped, unscoped
from qcloud.kernel.settings import value

log = structlog.get_logger(__name__)

LEASE: Final = timedelta(minutes=10)
"""Longer than one page takes; renewed with each."""
PAUSE: Final = timedelta(seconds=30)
ATTEMPTS: Final = 5
_PIECE: Final = 1 << 20
_WRITER: Final = "traffic export"


class _Lost(Exception):
    """Another worker has taken it over, or somebody removed it."""


def exports_write(*, store: Store | None = None) -> int:
    """Write what was asked for, one after the other; returns how many are ready now."""
    ready = 0
    while (row := _claim()) is not None:
        scope = scope_of(row.account_id)
        try:
            _write(row, scope, store)
            ready += 1
        except _Lost:
            log.info("an export is somebody else's now", export=str(row.id))
        except QCloudError as error:
            _stumble(row, scope, error.message)
        except Exception as error:
            # Whatever it was: the person must see that it failed, the log what it was.
            log.exception("an export failed", export=str(row.id))
            _stumble(row, scope, f"It failed ({type(error).__name__}); the log has more.")
    return ready


def exports_forget() -> int:
    """Remove files whose time is over; returns how many."""
    with unscoped("traffic exports: of every account, for the worker"):
        over = list(TrafficExport.objects.filter(expires_at__lt=now())[:1_000])
        for row in over:
            _record(row, scope_of(row.account_id), "forget")
            row.delete()
    return len(over)


def _claim() -> TrafficExport | None:
    moment = now()
    free = Q(state=ExportState.WAITING) & (
        Q(claimed_at=None) | Q(claimed_at__lt=moment - PAUSE)
    ) | Q(state=ExportState.RUNNING, claimed_at__lt=moment - LEASE)
    with unscoped("traffic exports: of every account, for the worker"):
        rows = TrafficExport.objects.select_for_update(skip_locked=True).filter(free)
        _give_up(rows.filter(attempt__gte=ATTEMPTS))
        row: TrafficExport | None = rows.filter(attempt__lt=ATTEMPTS).order_by("id").first()
        if row is None:
            return None
        row.state, row.claimed_at, row.attempt = ExportState.RUNNING, moment, row.attempt + 1
        row.rows = 0
        row.save()
    return row


def _give_up(rows: Iterable[TrafficExport]) -> None:
    """Those whose worker died each time: the next one would die of them as well."""
    for row in rows:
        row.state, row.trouble = ExportState.FAILED, "Whoever wrote it was ended each time."
        row.save(update_fields=["state", "trouble"])
        log.error("an export is given up: its worker died each time", export=str(row.id))
        _record(row, scope_of(row.account_id), "fail")


def _write(row: TrafficExport, scope: Scope, store: Store | None) -> None:
    reader = limited(scope, row.environments)
    pages = request_pages(reader, restored(row.chosen), store=store)
    with TemporaryFile() as file:
        rows = write_pages(file, row.format, pages, lambda done: _progress(row, done))
        _keep(row, scope, file, rows)


def _progress(row: TrafficExport, rows: int) -> None:
    """Raises ``_Lost``."""
    with unscoped("traffic exports: of every account, for the worker"):
        mine = TrafficExport.objects.filter(
            id=row.id, attempt=row.attempt, state=ExportState.RUNNING
        )
        if not mine.update(rows=rows, claimed_at=now()):
            raise _Lost


def _keep(row: TrafficExport, scope: Scope, file: IO[bytes], rows: int) -> None:
    digest, size, position = hashlib.sha256(), 0, 0
    file.seek(0)
    with scoped(scope):
        mine = TrafficExport.objects.select_for_update().filter(id=row.id, attempt=row.attempt)
        held: TrafficExport | None = mine.first()
        if held is None:
            raise _Lost
        held.pieces.all().delete()
        while data := file.read(_PIECE):
            digest.update(data)
            TrafficExportPiece(
                account_id=scope.account_id,
                export_id=row.id,
                position=position,
                data=zlib.compress(data, 1),
            ).save(force_insert=True)
            size, position = size + len(data), position + 1
        held.state, held.rows, held.size, held.trouble = ExportState.READY, rows, size, ""
        held.sha256 = digest.hexdigest()
        held.ready_at, held.expires_at = now(), now() + value(EXPORT_KEPT)
        held.save()
        _record(held, scope, "write")
        _tell(held, scope)


def _stumble(row: TrafficExport, scope: Scope, why: str) -> None:
    """Again in a moment, and given up in the end."""
    with scoped(scope):
        mine = TrafficExport.objects.select_for_update().filter(id=row.id, attempt=row.attempt)
        held: TrafficExport | None = mine.first()
        if held is None:
            return
        given_up = held.attempt >= ATTEMPTS
        held.state = ExportState.FAILED if given_up else ExportState.WAITING
        held.trouble, held.claimed_at = why[:500], now()
        held.save(update_fields=["state", "trouble", "claimed_at"])
        if given_up:
            _record(held, scope, "fail")


def _record(row: TrafficExport, scope: Scope, verb: str) -> None:
    record(
        actor=Actor.system(_WRITER),
        action=f"pulse.export.{verb}",
        object_kind="export",
        object_id=row.id,
        scope=scope,
        data={"requests": row.rows, "size": row.size, "sha256": row.sha256, "trouble": row.trouble},
    )


def _tell(row: TrafficExport, scope: Scope) -> None:
    """The mail leads to the page, which asks who it is; the file itself has no address."""
    person = next((one for one in staff(scope) if one.user_id == row.asked_by), None)
    if person is None or row.expires_at is None:
        return
    zone = account(row.account_id).timezone
    mail_send(
        account_id=scope.account_id,
        to=person.email,
        template="notice",
        context={
            "heading": f"Your export of {row.rows:,} requests is ready",
            "lines": [
                f"It can be downloaded until {told(row.expires_at, zone)}.",
                f"SHA-256: {row.sha256}",
            ],
            "link": row.link,
        },
        key=f"traffic-export:{row.id}",
        brand=mail_brand(scope.path),
    )
