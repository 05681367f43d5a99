"""Data keys: rows wrapped in the database, plaintext in memory for a bounded time.

**The bound**: what this process knows of a key it believes for ``KEY_CACHE_SECONDS`` (60 by
default), then it reads the row again and asks the keeper again. So after a rotation another
process may seal under the key before for that long, and after shredding it may open a value
for that long; not longer. A keeper that is down is noticed within the same time. A key whose
time is over is dropped from memory within ``SWEEP_SECONDS``, whether anybody asks or not.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, connection

from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import unscoped
from qcloud.kernel.sealing import KeyShredded
from vaultsvc.apart import apart
from vaultsvc.backends import backend
from vaultsvc.backends.base import KeyMissing, NewDataKey
from vaultsvc.envelope import Broken, Key
from vaultsvc.models import DataKey, Purpose, ShreddedOwner, State

MAX_HELD: Final = 4_096
"""Keys in memory at once; the one that was opened longest ago goes first."""
SWEEP_SECONDS: Final = 1.0
_STRIPES: Final = 64


@dataclass(frozen=True, slots=True)
class _Held:
    owner: UUID
    key: Key
    until: float
    """On the monotonic clock."""


class DataKeys:
    """The data keys of this process. Safe for threads; one at a time asks for one owner."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[UUID, str], _Held] = OrderedDict()
        self._guard = threading.Lock()
        self._asking = tuple(threading.Lock() for _ in range(_STRIPES))
        self._sweeper: threading.Thread | None = None
        os.register_at_fork(after_in_child=self._begin_anew)

    def active(self, owner: UUID, purpose: str) -> Key:
        """The key that seals (or indexes) for ``owner`` now, made at first use.

        Raises ``KeyShredded``, ``SealerUnavailable``.
        """
        held = self._look((owner, purpose))
        if held is None:
            with self._asking[owner.int % _STRIPES]:
                held = self._look((owner, purpose)) or self._hold_active(owner, purpose)
        return held.key

    def by_id(self, key_id: UUID, owner: UUID) -> Key:
        """The owner's key of that id, active or superseded.

        Raises ``Broken`` when there is none, ``KeyShredded``, ``SealerUnavailable``.
        """
        held = self._look((key_id, ""))
        if held is None:
            with self._asking[owner.int % _STRIPES]:
                held = self._look((key_id, "")) or self._hold_by_id(key_id, owner)
        if held.owner != owner:
            raise Broken
        return held.key

    def forget(self, owner: UUID | None = None) -> None:
        """Drop what memory holds of ``owner``, of everybody by default."""
        with self._guard:
            gone = [n for n, held in self._held.items() if owner in {None, held.owner}]
            for name in gone:
                del self._held[name]

    def _look(self, name: tuple[UUID, str]) -> _Held | None:
        held = self._held.get(name)
        if held is None or held.until < time.monotonic():
            return None
        return held

    def _hold(self, name: tuple[UUID, str], owner: UUID, key: Key) -> _Held:
        held = _Held(owner, key, time.monotonic() + settings.KEY_CACHE_SECONDS)
        with self._guard:
            self._held[name] = held
            self._held.move_to_end(name)
            while len(self._held) > MAX_HELD:
                self._held.popitem(last=False)
            if self._sweeper is None:
                self._sweeper = threading.Thread(target=self._sweep, name="keys", daemon=True)
                self._sweeper.start()
        return held

    def _sweep(self) -> None:
        """Drops what is out of date until nothing is left: an idle process keeps no keys."""
        while self._drop_old():
            time.sleep(SWEEP_SECONDS)

    def _drop_old(self) -> int:
        """How many are left; with the last one the sweeper ends."""
        with self._guard:
            moment = time.monotonic()
            for name in [n for n, held in self._held.items() if held.until < moment]:
                del self._held[name]
            if not self._held:
                self._sweeper = None
            return len(self._held)

    def _begin_anew(self) -> None:
        """In a forked child: threads of the parent that hold locks do not exist here."""
        self._held = OrderedDict()
        self._guard = threading.Lock()
        self._asking = tuple(threading.Lock() for _ in range(_STRIPES))
        self._sweeper = None

    def _hold_active(self, owner: UUID, purpose: str) -> _Held:
        row = _active_row(owner, purpose)
        if row is None:
            row, fresh = make(owner, purpose)
            key = Key(row.id, fresh) if fresh else _opened(row)
        else:
            key = _opened(row)
        if purpose == Purpose.SEAL:
            self._hold((row.id, ""), owner, key)
        return self._hold((owner, purpose), owner, key)

    def _hold_by_id(self, key_id: UUID, owner: UUID) -> _Held:
        with unscoped("vaultsvc: data keys belong to the platform, whoever asks"):
            row = DataKey.objects.filter(id=key_id).first()
            if row is not None and row.owner != owner:
                raise Broken
            refuse_shredded(owner)
        if row is None:
            raise Broken
        return self._hold((key_id, ""), owner, _opened(row))


held: Final = DataKeys()


def make(owner: UUID, purpose: str) -> tuple[DataKey, bytes | None]:
    """The owner's active row, committed, and its key in the clear if this call made it.

    Two processes may be at it: the database lets one row be active, the other's is dropped.
    """
    refuse_another_keeper(owner)
    fresh = backend().new_data_key(owner)
    return apart(lambda: _insert(owner, purpose, fresh))


def refuse_another_keeper(owner: UUID) -> None:
    """A keeper that lost the owner's key would make another one; what that sealed would be lost
    in turn as soon as the right keeper is restored.

    Raises ``KeyMissing``, ``KeyShredded``, ``SealerUnavailable``.
    """
    with unscoped("vaultsvc: data keys belong to the platform, whoever asks"):
        kept = DataKey.objects.exclude(state=State.DESTROYED).order_by("state", "-id")
        row = kept.filter(owner=owner).first()
        if row is None and not backend().begun():
            row = kept.first()
    if row is not None:
        _opened(row)


def row_of(owner: UUID, purpose: str, fresh: NewDataKey) -> DataKey:
    return DataKey(
        id=new_id(),
        owner=owner,
        purpose=purpose,
        wrapped=fresh.wrapped.blob,
        key_version=fresh.wrapped.version,
    )


def _insert(owner: UUID, purpose: str, fresh: NewDataKey) -> tuple[DataKey, bytes | None]:
    row = row_of(owner, purpose, fresh)
    try:
        with unscoped("vaultsvc: data keys belong to the platform, whoever asks"):
            lock_owner(owner)
            refuse_shredded(owner)
            row.save(force_insert=True)
    except IntegrityError:
        with unscoped("vaultsvc: data keys belong to the platform, whoever asks"):
            row = DataKey.objects.get(owner=owner, purpose=purpose, state=State.ACTIVE)
        return row, None
    return row, fresh.plaintext


def lock_owner(owner: UUID) -> None:
    """Until the transaction ends: a key is made for an owner, or the owner is shredded."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"keys {owner}"])


def _active_row(owner: UUID, purpose: str) -> DataKey | None:
    with unscoped("vaultsvc: data keys belong to the platform, whoever asks"):
        refuse_shredded(owner)
        row: DataKey | None = DataKey.objects.filter(
            owner=owner, purpose=purpose, state=State.ACTIVE
        ).first()
    return row


def refuse_shredded(owner: UUID) -> None:
    """Raises ``KeyShredded``."""
    with unscoped("vaultsvc: data keys belong to the platform, whoever asks"):
        if ShreddedOwner.objects.filter(owner=owner).exists():
            raise KeyShredded(owner)


def _opened(row: DataKey) -> Key:
    try:
        return Key(row.id, backend().unwrap(row.owner, bytes(row.wrapped)))
    except ValueError as error:
        raise KeyMissing(
            f"data key {row.id} of owner {row.owner} does not open: {error}. Database and key"
            " store are not of one backup, or the row was changed."
        ) from error
