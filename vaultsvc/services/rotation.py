"""A new wrapping version and a new data key for one owner; older ones still open."""

from __future__ import annotations

from uuid import UUID

from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped
from qcloud.kernel.sealing import KeyShredded
from vaultsvc.backends import backend
from vaultsvc.backends.base import NewDataKey
from vaultsvc.keys import held, lock_owner, refuse_shredded, row_of
from vaultsvc.models import DataKey, Purpose, Run, State


def waiting(run: Run) -> list[UUID]:
    """Owners that the run has still to rotate: their sealing key is older than it is."""
    query = DataKey.objects.filter(
        purpose=Purpose.SEAL, state=State.ACTIVE, created_at__lt=run.started_at
    )
    if run.owner:
        query = query.filter(owner=run.owner)
    return list(query.order_by("owner").values_list("owner", flat=True))


def rotate_owner(owner: UUID) -> bool:
    """Whether the owner has new keys; not when it was shredded meanwhile.

    Killed half-way it leaves at most a wrapping version that nothing uses yet. Raises
    ``SealerUnavailable``.
    """
    keeper = backend()
    try:
        keeper.rotate(owner)
        fresh = keeper.new_data_key(owner)
        with unscoped("vaultsvc: rotation of any owner's keys"):
            _replace(owner, fresh)
    except KeyShredded:
        return False
    held.forget(owner)
    _rewrap_rows(owner)
    return True


def _replace(owner: UUID, fresh: NewDataKey) -> None:
    lock_owner(owner)
    refuse_shredded(owner)
    DataKey.objects.filter(owner=owner, purpose=Purpose.SEAL, state=State.ACTIVE).update(
        state=State.SUPERSEDED, superseded_at=now()
    )
    row_of(owner, Purpose.SEAL, fresh).save(force_insert=True)


def _rewrap_rows(owner: UUID) -> None:
    """What still opens, under the newest version, so that older versions can be retired."""
    keeper = backend()
    versions = keeper.versions(owner)
    if versions is None:
        return
    with unscoped("vaultsvc: rotation of any owner's keys"):
        rows = list(
            DataKey.objects.filter(owner=owner, key_version__lt=versions.newest).exclude(
                state=State.DESTROYED
            )
        )
    for row in rows:
        wrapped = keeper.rewrap(owner, bytes(row.wrapped))
        with unscoped("vaultsvc: rotation of any owner's keys"):
            DataKey.objects.filter(id=row.id, wrapped=bytes(row.wrapped)).update(
                wrapped=wrapped.blob, key_version=wrapped.version
            )
