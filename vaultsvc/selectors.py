"""How keys are, for operators. Never a key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Q

from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped
from vaultsvc.backends import backend
from vaultsvc.backends.base import BackendStatus
from vaultsvc.models import DataKey, Purpose, Run, ShreddedOwner, State


@dataclass(frozen=True)
class RunInfo:
    """A walk over the sealed values, as far as it is."""

    id: UUID
    owner: UUID | None
    rotates: bool
    started_at: datetime
    started_by: str
    finished_at: datetime | None
    total: int
    done: int
    rotated: int
    resealed: int
    broken: int

    @property
    def percent(self) -> int:
        """0–100; a finished run is whole, whatever was deleted meanwhile."""
        if self.finished_at is not None or not self.total:
            return 100
        return min(99, 100 * self.done // self.total)


@dataclass(frozen=True)
class OwnerKeys:
    """The keys of one owner; accounts are opaque here."""

    owner: UUID
    version: int
    """Of the wrapping key."""
    created_at: datetime
    """Of the data key that seals now."""
    due_at: datetime
    superseded: int
    """Data keys before it that still open."""

    @property
    def due(self) -> bool:
        return self.due_at <= now()


@dataclass(frozen=True)
class ShreddedInfo:
    owner: UUID
    slug: str
    shredded_at: datetime
    shredded_by: str


@dataclass(frozen=True)
class KeyStatus:
    backend: str
    status: BackendStatus
    cache_seconds: int
    """For how long another process may go on with what it knows."""
    rotation_days: int
    going: RunInfo | None
    last: RunInfo | None


def key_status() -> KeyStatus:
    """Asks the keeper itself; answers within its two seconds."""
    keeper = backend()
    with unscoped("vaultsvc: the operators' page of keys"):
        going = Run.objects.filter(finished_at=None).first()
        last = Run.objects.exclude(finished_at=None).first()
    return KeyStatus(
        backend=keeper.name,
        status=keeper.status(),
        cache_seconds=settings.KEY_CACHE_SECONDS,
        rotation_days=settings.KEY_ROTATION_DAYS,
        going=run_info(going) if going else None,
        last=run_info(last) if last else None,
    )


def owners() -> list[OwnerKeys]:
    """Everybody with a data key, the one rotated longest ago first."""
    with unscoped("vaultsvc: the operators' page of keys"):
        older = dict(
            DataKey.objects.filter(purpose=Purpose.SEAL)
            .values_list("owner")
            .annotate(n=Count("id", filter=Q(state=State.SUPERSEDED)))
        )
        rows = list(
            DataKey.objects.filter(purpose=Purpose.SEAL, state=State.ACTIVE)
            .order_by("created_at")
            .values_list("owner", "key_version", "created_at")
        )
    every = timedelta(days=settings.KEY_ROTATION_DAYS)
    return [
        OwnerKeys(owner, version, made, made + every, older.get(owner, 0))
        for owner, version, made in rows
    ]


def shredded() -> list[ShreddedInfo]:
    """Owners whose keys were destroyed, the latest first."""
    with unscoped("vaultsvc: the operators' page of keys"):
        rows = list(ShreddedOwner.objects.all())
    return [ShreddedInfo(r.owner, r.slug, r.shredded_at, r.shredded_by) for r in rows]


def run_info(row: Run) -> RunInfo:
    return RunInfo(**{name: getattr(row, name) for name in RunInfo.__dataclass_fields__})
