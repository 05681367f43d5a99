"""Which value is in force, and where it comes from."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import structlog
from django.db import connection, transaction

from qcloud.kernel.clock import now
from qcloud.kernel.models import SettingRow
from qcloud.kernel.scope import unscoped
from qcloud.kernel.sealing import PLATFORM, Place, sealer
from qcloud.kernel.settings.registry import Setting, named

T = TypeVar("T")
_log: Final = structlog.get_logger(__name__)

MAX_AGE: Final = 1.0
"""Seconds after which a process looks again what is stored."""

_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext('kernel_setting'))"


class Source(StrEnum):
    ENVIRONMENT = "environment"
    STORED = "stored"
    DEFAULT = "default"


@dataclass(frozen=True)
class InForce(Generic[T]):
    setting: Setting[T]
    value: T
    source: Source
    set_by: str = ""
    """Who stored it."""
    set_at: datetime | None = None

    @property
    def shown(self) -> str:
        """For people: a secret says only whether there is one."""
        if self.setting.is_secret:
            return "set" if self.value else "not set"
        return self.setting.show(self.value)


@dataclass(frozen=True)
class _Stored:
    value: Any
    sealed: bytes
    set_by: str
    set_at: datetime


@dataclass
class _Cache:
    rows: dict[str, _Stored] | None = None
    read_at: float = 0.0


_cache: Final = _Cache()


def value(setting: Setting[T]) -> T:
    """The value in force, at most ``MAX_AGE`` seconds behind what another process stored.

    A secret is unsealed at each call: raises what ``Sealer.unseal`` raises.
    """
    return in_force(setting).value


def in_force(setting: Setting[T]) -> InForce[T]:
    """The value in force and where it comes from."""
    fixed = setting.from_environment()
    if fixed is not None:
        return InForce(setting, fixed[0], Source.ENVIRONMENT)
    row = _rows().get(setting.key)
    if row is None:
        return InForce(setting, setting.default, Source.DEFAULT)
    found: T = _unsealed(setting, row) if setting.is_secret else row.value
    return InForce(setting, found, Source.STORED, row.set_by, row.set_at)


def store(setting: Setting[T], new: T, *, by_label: str, by_id: UUID | None) -> None:
    """In the caller's transaction; whoever calls has checked the right and audits it."""
    shown = setting.show(new)
    sealed = sealer().seal(shown.encode(), _place(setting)) if setting.is_secret else b""
    with unscoped("settings: the platform's own"):
        SettingRow.objects.update_or_create(
            key=setting.key,
            defaults={
                "text": "" if setting.is_secret else shown,
                "sealed": sealed,
                "set_by": by_label[:254],
                "set_by_id": by_id,
                "set_at": now(),
            },
        )
    _changed()


def unset(setting: Setting[Any]) -> None:
    """Back to the default, in the caller's transaction."""
    with unscoped("settings: the platform's own"):
        SettingRow.objects.filter(key=setting.key).delete()
    _changed()


def lock_writers() -> None:
    """Until the transaction ends: two halves of a group must not be changed side by side."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK)


def forget() -> None:
    """Look again at the next question."""
    _cache.rows = None


def _changed() -> None:
    # At once for whoever made the change, and again when everybody can see it.
    forget()
    transaction.on_commit(forget)


def _rows() -> dict[str, _Stored]:
    rows = _cache.rows
    if rows is None or time.monotonic() - _cache.read_at > MAX_AGE:
        read_at = time.monotonic()
        rows = _read()
        _cache.rows, _cache.read_at = rows, read_at
    return rows


def _read() -> dict[str, _Stored]:
    with unscoped("settings: the platform's own", savepoint=False):
        found = list(SettingRow.objects.all())
    kept = {}
    for row in found:
        stored = _usable(row)
        if stored is not None:
            kept[row.key] = stored
    return kept


def _usable(row: SettingRow) -> _Stored | None:
    """``None`` for a setting of another release, or a value that this one does not take."""
    setting = named(row.key)
    if setting is None:
        return None
    try:
        parsed = None if setting.is_secret else setting.parse(row.text)
    except ValueError as error:
        _log.warning("setting_unusable", key=row.key, reason=str(error), used="the default")
        return None
    return _Stored(parsed, bytes(row.sealed), row.set_by, row.set_at)


def _unsealed(setting: Setting[Any], row: _Stored) -> Any:
    return setting.parse(sealer().unseal(row.sealed, _place(setting)).decode())


def _place(setting: Setting[Any]) -> Place:
    return Place(PLATFORM, "kernel_setting", "sealed", setting.key)
