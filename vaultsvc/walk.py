"""Every sealed column of every model, and one batch of its rows sealed anew.

A batch is read, sealed and written in one short transaction. It is written by
compare-and-swap: a value that somebody saved meanwhile is left as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import structlog
from django.apps import apps
from django.db import connection, models

from qcloud.kernel.sealing import PLATFORM, KeyShredded, Place
from vaultsvc import envelope
from vaultsvc.backends.base import KeyMissing
from vaultsvc.fields import EncryptedField
from vaultsvc.keys import held
from vaultsvc.models import Purpose
from vaultsvc.sealer import journal_broken

log = structlog.get_logger("vaultsvc")


@dataclass(frozen=True, slots=True)
class SealedColumn:
    model: type[models.Model]
    column: str
    owner: str | UUID
    """As ``EncryptedField``'s."""
    row: str = "pk"
    """The attribute that stands for the row in ``Place``."""
    schema_version: int = 1

    @property
    def name(self) -> str:
        """``table.column``"""
        return f"{self.model._meta.db_table}.{self.column}"

    def rows(self, owner: UUID | None) -> Any:
        """Those with a value, of one owner or of all, in order of their key."""
        query = self.model._base_manager.filter(**{f"{self.column}__isnull": False}).order_by("pk")
        if owner is None or self.owner == owner:
            return query
        if isinstance(self.owner, UUID):
            return query.none()
        return query.filter(**{self.owner: owner})

    def place(self, owner: UUID, row: object) -> Place:
        return Place(owner, self.model._meta.db_table, self.column, str(row), self.schema_version)


_BY_HAND: Final = (("kernel", "SettingRow", "sealed", PLATFORM, "key"),)
"""Columns of rooms below this one, which seal through the kernel's protocol: application,
model, column (empty: not a secret), owner, and the attribute that stands for the row.
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of some rows."""

    last: str
    """Primary key of the last one."""
    seen: int
    resealed: int
    broken: int


def sealed_columns() -> list[SealedColumn]:
    """In a fixed order, that of ``table.column``."""
    found = [
        SealedColumn(model, field.attname, field.owner, schema_version=field.schema_version)
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.concrete_fields
        if isinstance(field, EncryptedField) and model._meta.managed and not model._meta.proxy
    ]
    found += [
        SealedColumn(apps.get_model(room, model), column, owner, row)
        for room, model, column, owner, row in _BY_HAND
    ]
    return sorted(found, key=lambda column: column.name)


def count(owner: UUID | None) -> int:
    """Sealed values there are. To be called in system mode."""
    return sum(column.rows(owner).count() for column in sealed_columns())


def reseal_batch(column: SealedColumn, after: str, owner: UUID | None, size: int) -> Batch | None:
    """The next ``size`` rows behind ``after`` under their owners' active keys; ``None``: no more.

    A value whose key the keeper has not is left, as broken: it must not keep all others under
    old keys. To be called in system mode, in a transaction. Raises ``SealerUnavailable``.
    """
    rows = _next(column, after, owner, size)
    if not rows:
        return None
    anew: list[tuple[object, bytes, bytes]] = []
    broken = 0
    missing: set[str] = set()
    for pk, row, of, raw in rows:
        place = column.place(of, row)
        try:
            fresh = _resealed(raw, place)
        except envelope.Broken:
            broken += 1
            journal_broken(place)
            continue
        except KeyMissing as error:
            broken += 1
            missing.add(error.message)
            continue
        if fresh is not None:
            anew.append((pk, raw, fresh))
    for reason in sorted(missing):
        log.error("values stay under old keys", column=column.name, reason=reason)
    return Batch(str(rows[-1][0]), len(rows), _swap(column, anew), broken)


def _next(
    column: SealedColumn, after: str, owner: UUID | None, size: int
) -> list[tuple[Any, Any, UUID, bytes]]:
    """Primary key, the row's name in its place, owner, sealed value."""
    query, fixed = column.rows(owner), column.owner
    if after:
        query = query.filter(pk__gt=column.model._meta.pk.to_python(after))
    if isinstance(fixed, UUID):
        found = query.values_list("pk", column.row, column.column)[:size]
        return [(pk, row, fixed, bytes(raw)) for pk, row, raw in found]
    found = query.values_list("pk", column.row, fixed, column.column)[:size]
    return [(pk, row, of, bytes(raw)) for pk, row, of, raw in found]


def _resealed(raw: bytes, place: Place) -> bytes | None:
    """``None``: it is empty, sealed as it should be, or nobody can open it any more.

    Raises ``Broken``.
    """
    if not raw:
        return None
    try:
        active = held.active(place.account_id, Purpose.SEAL)
        used = envelope.key_id(raw)
        if used == active.id:
            return None
        key = held.by_id(used, place.account_id)
    except KeyShredded:
        return None
    return envelope.seal(active, envelope.unseal(key, raw, place), place)


def _swap(column: SealedColumn, rows: Sequence[tuple[object, bytes, bytes]]) -> int:
    """How many were still as they had been read, and are now new."""
    if not rows:
        return 0
    quote = connection.ops.quote_name
    table, name = quote(column.model._meta.db_table), quote(column.column)
    key = column.model._meta.pk
    statement = (
        f"UPDATE {table} AS t SET {name} = v.new FROM unnest(%s::{key.db_type(connection)}[],"  # noqa: S608  names of models
        f" %s::bytea[], %s::bytea[]) AS v(pk, old, new)"
        f" WHERE t.{quote(str(key.column))} = v.pk AND t.{name} = v.old"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [list(part) for part in zip(*rows, strict=True)])
        return int(cursor.rowcount)
