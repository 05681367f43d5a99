"""Erasing accounts whose grace period is over: room after room, restartable at every point.

The table of steps is the memory, the outbox the messenger. ``erasures_drive`` begins what is
due and tells the next room; a higher room reads that in its own task, ``erasure_work``, and
says when it is done; the rooms at and below this one are called. The keys go last. Whatever
is killed in between is done again: every step can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

import structlog

from audit.services import record
from identity.models import (
    Account,
    AccountState,
    ErasureStep,
    Membership,
    MfaExemption,
    MfaRule,
    Subject,
    User,
)
from identity.selectors import account_info
from qcloud.kernel import erasure, outbox
from qcloud.kernel.clock import now
from qcloud.kernel.models import OutboxMessage
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import Scope, unscoped
from qcloud.kernel.sealing import SealerUnavailable
from vaultsvc.services import account_shred

log = structlog.get_logger(__name__)

TOPIC: Final = "identity.account.erase"
"""With a dot and the room's name behind it."""
KEYS: Final = "vaultsvc"
OWN: Final = ("identity", "notify", KEYS)
"""Steps done here: this room's, and the lower ones', the keys at the end."""


def erasures_drive(*, actor: Actor) -> int:
    """Bring every erasure as far as it can go now; returns how many accounts were closed.

    For a periodic task of the system. Can run twice and beside itself.
    """
    for account_id in _due():
        _begin(actor, account_id)
    return sum(_drive(actor, account_id) for account_id in _erasing())


def erasure_work(room: str, erase: Callable[[UUID], dict[str, int]], *, apart: bool = False) -> int:
    """What a higher room's task does: read what it was told, forget, say so.

    ``erase`` removes everything that the room has of an account, returns rows by table, and
    can be repeated; it raises to be called again later. It runs in the transaction that notes
    it as done, unless it works ``apart`` in transactions of its own. Returns how many were
    forgotten; what it raised is raised again when all others were worked on.
    """
    while outbox.consume(f"{room}.erasure", [f"{TOPIC}.{room}"], _taken):
        pass
    done, failures = 0, []
    for account_id in _waiting(room):
        try:
            _work(room, account_id, erase, apart=apart)
            done += 1
        # Whatever the room meets in one account keeps no other's data.
        except Exception as error:  # noqa: BLE001
            log.warning("an erasure waits", room=room, account=str(account_id), reason=str(error))
            failures.append(error)
    if failures:
        raise failures[0]
    return done


def _work(
    room: str, account_id: UUID, erase: Callable[[UUID], dict[str, int]], *, apart: bool
) -> None:
    if apart:
        erasure_step_done(account_id, room, erase(account_id))
        return
    with unscoped("erasure: the progress of an account's end"):
        erasure_step_done(account_id, room, erase(account_id))


def erasure_step_done(account_id: UUID, step: str, removed: dict[str, int]) -> None:
    with unscoped("erasure: the progress of an account's end"):
        row = ErasureStep.objects.select_for_update().get(account_id=account_id, step=step)
        row.done_at = now()
        row.removed = {
            table: row.removed.get(table, 0) + removed.get(table, 0)
            for table in sorted(row.removed.keys() | removed.keys())
        }
        row.save(update_fields=["done_at", "removed"])


def _due() -> list[UUID]:
    """Closing, over the date, with nobody left below, and no room objects."""
    with unscoped("erasure: the progress of an account's end"):
        rows = Account.objects.filter(state=AccountState.CLOSING, erase_at__lte=now())
        free = [row.id for row in rows.order_by("-account_path") if not _has_below(row)]
    return [account_id for account_id in free if not _objected(account_id)]


def _objected(account_id: UUID) -> bool:
    reasons = erasure.objections(account_id)
    if reasons:
        log.warning("an account is not erased yet", account=str(account_id), reasons=reasons)
    return bool(reasons)


def _is_due(row: Account) -> bool:
    late = row.erase_at is not None and row.erase_at <= now()
    return late and row.state == AccountState.CLOSING and not _has_below(row)


def _has_below(row: Account) -> bool:
    below = Account.objects.filter(account_path__startswith=row.account_path).exclude(id=row.id)
    return bool(below.exclude(state=AccountState.CLOSED).exists())


def _begin(actor: Actor, account_id: UUID) -> None:
    with unscoped("erasure: the progress of an account's end"):
        row = Account.objects.select_for_update().get(id=account_id)
        if not _is_due(row):
            return  # somebody withdrew (and perhaps closed anew), or another process began
        row.state, row.state_since, row.state_by = AccountState.ERASING, now(), actor.label
        row.save(update_fields=["state", "state_since", "state_by"])
        for position, step in enumerate([*_higher(), *OWN]):
            ErasureStep(
                account_id=row.id, account_path=row.account_path, step=step, position=position
            ).save(force_insert=True)
        _record(actor, row, "erase_begin", {"steps": [*_higher(), *OWN]})


def _higher() -> list[str]:
    return [room for room in erasure.steps() if room not in OWN]


def _erasing() -> list[UUID]:
    with unscoped("erasure: the progress of an account's end"):
        rows = Account.objects.filter(state=AccountState.ERASING)
        return list(rows.order_by("-account_path").values_list("id", flat=True))


def _waiting(room: str) -> list[UUID]:
    with unscoped("erasure: the progress of an account's end"):
        rows = ErasureStep.objects.filter(step=room, done_at=None, taken_at__isnull=False)
        return list(rows.values_list("account_id", flat=True))


def _taken(message: OutboxMessage) -> None:
    room = message.topic.removeprefix(f"{TOPIC}.")
    waiting = ErasureStep.objects.filter(account_id=message.account_id, step=room)
    waiting.filter(taken_at=None).update(taken_at=now())


def _drive(actor: Actor, account_id: UUID) -> bool:
    """Step by step until one waits for a higher room. True: the account is closed now."""
    while (step := _next(account_id)) is not None:
        if step.step not in OWN:
            _ask(step)
            return False
        if step.step == KEYS:
            if not _shred(actor, account_id):
                return False
            erasure_step_done(account_id, KEYS, {})
            continue
        with unscoped("erasure: the progress of an account's end"):
            erasure_step_done(account_id, step.step, _own_step(step))
    return _close(actor, account_id)


def _next(account_id: UUID) -> ErasureStep | None:
    with unscoped("erasure: the progress of an account's end"):
        row: ErasureStep | None = ErasureStep.objects.filter(
            account_id=account_id, done_at=None
        ).first()
    return row


def _ask(step: ErasureStep) -> None:
    with unscoped("erasure: the progress of an account's end"):
        row = ErasureStep.objects.select_for_update().get(id=step.id)
        if row.asked_at is None:
            row.asked_at = now()
            row.save(update_fields=["asked_at"])
            outbox.publish(f"{TOPIC}.{row.step}", {}, account_id=row.account_id)


def _own_step(step: ErasureStep) -> dict[str, int]:
    if step.step != "identity":
        return erasure.erase_rows(step.step, step.account_id)
    members = Membership.objects.filter(account_id=step.account_id)
    people = list(members.values_list("user_id", flat=True))
    removed = erasure.erase_rows("identity", step.account_id)
    MfaExemption.objects.filter(exempt_account_id=step.account_id).delete()
    MfaRule.objects.filter(subject=Subject.ACCOUNT, value=str(step.account_id)).delete()
    return removed | _forget_people(people)


def _forget_people(people: list[UUID]) -> dict[str, int]:
    """Who worked for this account alone has no login any more."""
    elsewhere = Membership.objects.filter(user_id__in=people).values("user_id")
    _, removed = User.objects.filter(id__in=people).exclude(id__in=elsewhere).delete()
    return {name.lower().replace(".", "_"): count for name, count in removed.items()}


def _shred(actor: Actor, account_id: UUID) -> bool:
    """Whether its keys are gone. While their keeper is away the erasure waits, others do not."""
    with unscoped("erasure: the progress of an account's end"):
        info = account_info(Account.objects.get(id=account_id))
    try:
        account_shred(actor=actor, scope=info.scope, slug=info.slug, confirmation=info.slug)
    except SealerUnavailable as error:
        log.warning("an erasure waits for the keys", account=str(account_id), reason=error.message)
        return False
    return True


def _close(actor: Actor, account_id: UUID) -> bool:
    """Closed when really nothing is left; else everything once more."""
    left = erasure.left_over(account_id)
    with unscoped("erasure: the progress of an account's end"):
        row = Account.objects.select_for_update().get(id=account_id)
        if row.state != AccountState.ERASING:
            return False
        steps = ErasureStep.objects.filter(account_id=account_id)
        if left:
            log.warning("rows turned up behind an erasure", account=str(account_id), left=left)
            for step in steps:
                step.attempt, step.asked_at, step.taken_at, step.done_at = (
                    step.attempt + 1, None, None, None,
                )  # fmt: skip
                step.save(update_fields=["attempt", "asked_at", "taken_at", "done_at"])
            return False
        row.state, row.state_since, row.allow_list = AccountState.CLOSED, now(), ""
        row.save(update_fields=["state", "state_since", "allow_list"])
        _record(actor, row, "erase", {"removed": {s.step: s.removed for s in steps}})
    return True


def _record(actor: Actor, row: Account, verb: str, data: dict[str, object]) -> None:
    scope: Scope = account_info(row).scope
    record(
        actor=actor,
        action=f"identity.account.{verb}",
        object_kind="account",
        object_id=row.id,
        scope=scope,
        data=data,
    )
