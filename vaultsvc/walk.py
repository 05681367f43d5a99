"""Every sealed column of every model, and one batch of its rows sealed anew.

A batch is read, sealed and written in one short transaction. It is written by
compare-and-swap: a value that somebody saved meanwhile is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import connection, models

from qcloud.kernel.sealing import KeyShredded
from vaultsvc import envelope
from vaultsvc.fields import EncryptedField
from vaultsvc.keys import held
from vaultsvc.models import Purpose
from vaultsvc.sealer import journal_broken


@dataclass(frozen=True, slots=True)
class SealedColumn:
    model: type[models.Model]
    field: EncryptedField

    @property
    def name(self) -> str:
        """``table.column``"""
        return f"{self.model._meta.db_table}.{self.field.column}"

    def rows(self, owner: UUID | None) -> Any:
        """Those with a value, of one owner or of all, in order of their key."""
        query = self.model._base_manager.filter(**{f"{self.field.attname}__isnull": False})
        query = query.order_by("pk")
        if owner is None or self.field.owner == owner:
            return query
        if isinstance(self.field.owner, UUID):
            return query.none()
        return query.filter(**{self.field.owner: owner})


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
        SealedColumn(model, field)
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.concrete_fields
        if isinstance(field, EncryptedField) and model._meta.managed and not model._meta.proxy
    ]
    return sorted(found, key=lambda column: column.name)


def count(owner: UUID | None) -> int:
    """Sealed values there are. To be called in system mode."""
    return sum(column.rows(owner).count() for column in sealed_columns())


def reseal_batch(column: SealedColumn, after: str, owner: UUID | None, size: int) -> Batch | None:
    """The next ``size`` rows behind ``after`` under their owners' active keys; ``None``: no more.

    To be called in system mode, in a transaction. Raises ``SealerUnavailable``.
    """
    rows = _next(column, after, owner, size)
    if not rows:
        return None
    anew: list[tuple[object, bytes, bytes]] = []
    broken = 0
    for row in rows:
        try:
            anew.extend(_resealed(column, *row))
        except envelope.Broken:
            broken += 1
            journal_broken(column.field.place_of(row[1], row[0]))
    return Batch(str(rows[-1][0]), len(rows), _swap(column, anew), broken)


def _next(
    column: SealedColumn, after: str, owner: UUID | None, size: int
) -> list[tuple[Any, UUID, bytes]]:
    query, fixed = column.rows(owner), column.field.owner
    if after:
        query = query.filter(pk__gt=column.model._meta.pk.to_python(after))
    if isinstance(fixed, UUID):
        return [
            (pk, fixed, raw) for pk, raw in query.values_list("pk", column.field.attname)[:size]
        ]
    return list(query.values_list("pk", fixed, column.field.attname)[:size])


def _resealed(
    column: SealedColumn, pk: object, owner: UUID, raw: bytes
) -> Iterator[tuple[object, bytes, bytes]]:
    """(key, old, new) unless it is sealed as it should be, or nobody can open it any more."""
    try:
        active = held.active(owner, Purpose.SEAL)
        used = envelope.key_id(raw)
        if used == active.id:
            return
        key = held.by_id(used, owner)
    except KeyShredded:
        return
    place = column.field.place_of(owner, pk)
    yield pk, bytes(raw), envelope.seal(active, envelope.unseal(key, raw, place), place)


def _swap(column: SealedColumn, rows: Sequence[tuple[object, bytes, bytes]]) -> int:
    """How many were still as they had been read, and are now new."""
    if not rows:
        return 0
    quote = connection.ops.quote_name
    table, name = quote(column.model._meta.db_table), quote(str(column.field.column))
    key = column.model._meta.pk
    statement = (
        f"UPDATE {table} AS t SET {name} = v.new FROM unnest(%s::{key.db_type(connection)}[],"  # noqa: S608  names of models
        f" %s::bytea[], %s::bytea[]) AS v(pk, old, new)"
        f" WHERE t.{quote(str(key.column))} = v.pk AND t.{name} = v.old"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [list(part) for part in zip(*rows, strict=True)])
        return int(cursor.rowcount)
