"""A new wrapping version and a new data key for one owner; older ones still open."""

from __future__ import annotations

from uuid import UUID

import structlog

from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped
from qcloud.kernel.sealing import KeyShredded
from vaultsvc.backends import backend
from vaultsvc.backends.base import KeyMissing, NewDataKey
from vaultsvc.keys import held, lock_owner, refuse_another_keeper, refuse_shredded, row_of
from vaultsvc.models import DataKey, Purpose, Run, State

log = structlog.get_logger("vaultsvc")


def waiting(run: Run) -> list[UUID]:
    """Owners that the run has still to rotate: their sealing key is older than it is."""
    query = DataKey.objects.filter(
        purpose=Purpose.SEAL, state=State.ACTIVE, created_at__lt=run.started_at
    )
    if run.owner:
        query = query.filter(owner=run.owner)
    return list(query.order_by("owner").values_list("owner", flat=True))


def rotate_owner(owner: UUID) -> bool:
    """Whether the owner has new keys; not when it was shredded meanwhile, nor when the keeper
    has not the key that its values hang on: then nothing is changed, and the log says so.

    Killed half-way it leaves at most a wrapping version that nothing uses yet. Raises
    ``SealerUnavailable`` when the keeper is away.
    """
    keeper = backend()
    try:
        refuse_another_keeper(owner)
        keeper.rotate(owner)
        fresh = keeper.new_data_key(owner)
        with unscoped("vaultsvc: rotation of any owner's keys"):
            _replace(owner, fresh)
    except KeyShredded:
        return False
    except KeyMissing as error:
        log.error("keys cannot be rotated", owner=str(owner), reason=error.message)  # noqa: TRY400  the reason is the message
        return False
    held.forget(owner)
    return True


def _replace(owner: UUID, fresh: NewDataKey) -> None:
    lock_owner(owner)
    refuse_shredded(owner)
    DataKey.objects.filter(owner=owner, purpose=Purpose.SEAL, state=State.ACTIVE).update(
        state=State.SUPERSEDED, superseded_at=now()
    )
    row_of(owner, Purpose.SEAL, fresh).save(force_insert=True)


def rewrap_owners(owner: UUID | None) -> int:
    """Data keys of ``owner`` (of everybody) under the newest versions of their wrapping keys,
    so that older ones can be retired; how many cannot be read. Harmless to repeat.

    Raises ``SealerUnavailable`` when the keeper is away.
    """
    with unscoped("vaultsvc: rotation of any owner's keys"):
        rows = DataKey.objects.exclude(state=State.DESTROYED)
        rows = rows.filter(owner=owner) if owner else rows
        owners = list(rows.order_by("owner").values_list("owner", flat=True).distinct())
    return sum(_rewrap_owner(each) for each in owners)


def _rewrap_owner(owner: UUID) -> int:
    versions = backend().versions(owner)
    with unscoped("vaultsvc: rotation of any owner's keys"):
        rows = list(DataKey.objects.filter(owner=owner).exclude(state=State.DESTROYED))
    unreadable = 0
    for row in rows:
        if versions is not None and row.key_version >= versions.newest:
            continue
        try:
            _rewrap(row)
        except KeyShredded:
            return 0
        except (KeyMissing, ValueError) as error:
            unreadable += 1
            log.error("a data key cannot be read", key=str(row.id), reason=str(error))  # noqa: TRY400  the reason is the message
    return unreadable


def _rewrap(row: DataKey) -> None:
    wrapped = backend().rewrap(row.owner, bytes(row.wrapped))
    with unscoped("vaultsvc: rotation of any owner's keys"):
        DataKey.objects.filter(id=row.id, wrapped=bytes(row.wrapped)).update(
            wrapped=wrapped.blob, key_version=wrapped.version
        )
