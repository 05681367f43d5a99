"""Asking for exports, having and removing them. Each function checks, changes and audits."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from audit.services import record
from pulse.exports.filters import environments_of, may_see, restored, stored
from pulse.exports.writing import FORMATS
from pulse.policies import EXPORT_ROWS
from pulse.store.client import Store
from pulse.store.filters import TrafficFilter
from pulse.store.pages import count_requests
from pulse.tables.exports import ExportState, TrafficExport, TrafficExportPiece
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound
from qcloud.kernel.permissions import Actor, Permission, require
from qcloud.kernel.scope import Scope, scoped
from qcloud.kernel.settings import value

MOST_AT_ONCE = 3
"""Of one account, waiting or being written."""


@dataclass(frozen=True)
class ExportInfo:
    id: UUID
    state: str
    """``waiting``, ``running``, ``ready`` or ``failed``."""
    format: str
    chosen: dict[str, object]
    environments: list[str] | None
    asked_at: datetime
    asked_label: str
    attempt: int
    rows: int
    total: int
    size: int
    """Bytes."""
    sha256: str
    expires_at: datetime | None
    trouble: str

    @property
    def is_going(self) -> bool:
        return self.state in {"waiting", "running"}

    @property
    def can_be_had(self) -> bool:
        return self.state == "ready" and self.expires_at is not None and self.expires_at > now()

    @property
    def words(self) -> str:
        """The filter for people, without its times."""
        left_out = {"since", "until", "environments"}
        shown = {k.replace("_", " "): v for k, v in self.chosen.items() if k not in left_out}
        return ", ".join(f"{k}: {v}" for k, v in shown.items())

    @property
    def filter(self) -> TrafficFilter:
        return restored(self.chosen)


def exports(scope: Scope) -> list[ExportInfo]:
    """Those that one may see, the newest first; at most a hundred."""
    with scoped(scope):
        rows = TrafficExport.objects.filter(account_id=scope.account_id)[:100]
        return [_info(row) for row in rows if may_see(scope, row.environments)]


def export_create(
    *, actor: Actor, chosen: TrafficFilter, kind: str, link: str, store: Store | None = None
) -> ExportInfo:
    """Ask for the requests of the filter as a file; a worker writes it within moments.

    ``link``: the page that will offer it. Raises ``Denied``, ``Invalid`` (unknown format, too
    many requests), ``Conflict`` (enough are being written), ``StoreUnavailable``.
    """
    scope = _own(actor)
    if kind not in FORMATS:
        raise Invalid("Choose CSV or Parquet.", fields={"format": "Choose from the list."})
    total, most = count_requests(scope, chosen, store=store), value(EXPORT_ROWS)
    if total > most:
        raise Invalid(
            f"These are {total:,} requests; a file holds at most {most:,}. Narrow the filter or"
            " the time, and export piece by piece."
        )
    with scoped(scope):
        open_ones = TrafficExport.objects.filter(
            account_id=scope.account_id, state__in=(ExportState.WAITING, ExportState.RUNNING)
        )
        if open_ones.count() >= MOST_AT_ONCE:
            raise Conflict(f"{MOST_AT_ONCE} exports are being written. Wait for one of them.")
        row = TrafficExport(
            account_id=scope.account_id,
            format=kind,
            chosen=stored(chosen),
            environments=environments_of(scope, chosen),
            asked_at=now(),
            asked_by=actor.id,
            asked_label=actor.label[:254],
            link=link[:500],
            total=total,
        )
        row.save(force_insert=True)
        _record(actor, scope, row, "create")
    return _info(row)


def list_export_note(*, actor: Actor, chosen: TrafficFilter, kind: str) -> None:
    """Somebody takes the list itself as a file, at once: checked and journalled alike, though
    nobody knows the number before it is streamed. Raises ``Denied``.
    """
    scope = _own(actor)
    with scoped(scope):
        record(
            actor=actor,
            action="pulse.export.list",
            object_kind="export",
            object_id="requests",
            scope=scope,
            data={"format": kind, "filter": stored(chosen)},
        )


def export_open(*, actor: Actor, export_id: UUID) -> tuple[ExportInfo, Iterator[bytes]]:
    """The file's bytes in pieces. Raises ``Denied``, ``NotFound``, ``Conflict`` (not there
    yet, or over).
    """
    scope = _own(actor)
    with scoped(scope):
        row = _one(scope, export_id)
        found = _info(row)
        if not found.can_be_had:
            raise Conflict("This export cannot be had: it is not written yet, or has expired.")
        _record(actor, scope, row, "download")
    return found, _pieces(scope, export_id)


def export_remove(*, actor: Actor, export_id: UUID) -> None:
    """Remove a file before its time, or give up one that is being written.

    Raises ``Denied``, ``NotFound``.
    """
    scope = _own(actor)
    with scoped(scope):
        row = _one(scope, export_id)
        _record(actor, scope, row, "remove")
        row.delete()


def _pieces(scope: Scope, export_id: UUID) -> Iterator[bytes]:
    """Each in a transaction of its own: who downloads slowly holds none."""
    position = 0
    while True:
        with scoped(scope):
            row = TrafficExportPiece.objects.filter(
                account_id=scope.account_id, export_id=export_id, position=position
            ).first()
            if row is None:
                return
            piece = zlib.decompress(row.data.reveal_bytes())
        yield piece
        position += 1


def _own(actor: Actor) -> Scope:
    require(actor, Permission.PULSE_EXPORT_CREATE)
    require(actor, Permission.PULSE_REQUEST_READ)
    if actor.scope is None:
        raise Denied("Choose the account that you act for.")
    return actor.scope


def _one(scope: Scope, export_id: UUID) -> TrafficExport:
    rows = TrafficExport.objects.filter(account_id=scope.account_id, id=export_id)
    row: TrafficExport | None = rows.first()
    if row is None or not may_see(scope, row.environments):
        raise NotFound("There is no such export.")
    return row


def _record(actor: Actor, scope: Scope, row: TrafficExport, verb: str) -> None:
    record(
        actor=actor,
        action=f"pulse.export.{verb}",
        object_kind="export",
        object_id=row.id,
        scope=scope,
        data={
            "format": row.format,
            "filter": row.chosen,
            "requests": row.total,
            "environments": row.environments,
            "sha256": row.sha256,
        },
    )


def _info(row: TrafficExport) -> ExportInfo:
    return ExportInfo(**{name: getattr(row, name) for name in ExportInfo.__dataclass_fields__})
