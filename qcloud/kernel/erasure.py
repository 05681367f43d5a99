"""What erasing an account means: which rooms forget it, in which order, and what stays.

A room with rows of accounts declares its step in ``<room>/policies.py``, and every table that
keeps its rows with the reason. All other tables that name an account lose its rows; a new
table does so without being named anywhere. Who drives the steps is ``identity``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from django.apps import apps
from django.db import connection, models
from psycopg import sql

from qcloud.kernel.scope import unscoped

COLUMN: Final = "account_id"


@dataclass
class _Registry:
    steps: dict[str, int] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    objectors: list[Callable[[UUID], str]] = field(default_factory=list)


_registry: Final = _Registry(
    kept={"kernel_outbox": "ids of what happened, which some room may still have to read"}
)


def step(room: str, *, order: int) -> str:
    """Declare that the room has rows of accounts. Lower orders forget first."""
    _registry.steps[room] = order
    return room


def keep(table: str, reason: str) -> None:
    """Declare that a table keeps an erased account's rows, and why."""
    _registry.kept[table] = reason


def object_by(reason: Callable[[UUID], str]) -> None:
    """Declare what may forbid the erasure of an account: a sentence why, or nothing."""
    if reason not in _registry.objectors:
        _registry.objectors.append(reason)


def objections(account_id: UUID) -> list[str]:
    """Why the account must not be erased now, in sentences for people; empty: it may."""
    found = (reason(account_id) for reason in _registry.objectors)
    return [sentence for sentence in found if sentence]


def steps() -> tuple[str, ...]:
    return tuple(sorted(_registry.steps, key=lambda room: (_registry.steps[room], room)))


def kept() -> dict[str, str]:
    """Reasons by table."""
    return dict(_registry.kept)


def erase_rows(room: str, account_id: UUID) -> dict[str, int]:
    """Delete the account's rows from every table of the room that keeps none; returns how many
    by table. In the caller's transaction, if there is one. Harmless to repeat.
    """
    removed = {}
    with unscoped("erasure: every row of an account"), connection.cursor() as cursor:
        for model in _in_order(_forgetting(room)):
            table = model._meta.db_table
            cursor.execute(_statement("DELETE FROM {} WHERE {} = %s", table), [account_id])
            if cursor.rowcount:
                removed[table] = cursor.rowcount
    return removed


def left_over(account_id: UUID) -> dict[str, int]:
    """Rows of the account by table, wherever they should be gone; empty: none."""
    found = {}
    with unscoped("erasure: every row of an account"), connection.cursor() as cursor:
        for model in _forgetting():
            table = model._meta.db_table
            cursor.execute(_statement("SELECT count(*) FROM {} WHERE {} = %s", table), [account_id])
            (count,) = cursor.fetchone()
            if count:
                found[table] = count
    return found


def _statement(text: str, table: str) -> sql.Composed:
    return sql.SQL(text).format(sql.Identifier(table), sql.Identifier(COLUMN))


def _forgetting(room: str = "") -> list[type[models.Model]]:
    every = apps.get_app_config(room).get_models() if room else apps.get_models()
    return [model for model in every if _names_account(model) and not _keeps(model)]


def _names_account(model: type[models.Model]) -> bool:
    return any(field.column == COLUMN for field in model._meta.concrete_fields)


def _keeps(model: type[models.Model]) -> bool:
    return model._meta.db_table in _registry.kept


def _in_order(wanted: list[type[models.Model]]) -> list[type[models.Model]]:
    """Those that point before those that are pointed at."""
    ordered: list[type[models.Model]] = []
    waiting = list(wanted)
    while waiting:
        pointed_at = {to for model in waiting for to in _points_to(model) if to is not model}
        free = [model for model in waiting if model not in pointed_at]
        if not free:
            raise RuntimeError(f"tables point at each other in a circle: {waiting}")
        ordered += free
        waiting = [model for model in waiting if model in pointed_at]
    return ordered


def _points_to(model: type[models.Model]) -> set[Any]:
    return {f.related_model for f in model._meta.concrete_fields if f.is_relation}
