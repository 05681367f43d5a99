"""Legal holds: set at once, lifted in two steps. Each function checks, changes and audits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from audit.services import record
from fleet.selectors import environments
from pulse.retention.expiring import lock_retention
from pulse.tables.retention import LegalHold
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound
from qcloud.kernel.permissions import (
    Actor,
    Permission,
    require,
    require_fresh,
    require_whole_account,
)
from qcloud.kernel.scope import Scope, scoped

LONGEST: Final = 500


@dataclass(frozen=True)
class HoldInfo:
    id: UUID
    environment_id: UUID | None
    """None: all of the account."""
    since: datetime | None
    until: datetime | None
    reason: str
    set_at: datetime
    set_by: str
    release_asked_at: datetime | None
    release_asked_by: str
    release_reason: str
    released_at: datetime | None
    released_by: str

    @property
    def state(self) -> str:
        """``in force``, ``to be lifted`` (asked, still in force) or ``lifted``."""
        if self.released_at is not None:
            return "lifted"
        return "in force" if self.release_asked_at is None else "to be lifted"


@dataclass(frozen=True)
class Extent:
    """What a hold is on: half-open, in UTC; ``None`` is everything."""

    environment_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


def holds(scope: Scope) -> list[HoldInfo]:
    """The account's own, the newest first; at most 200."""
    with scoped(scope):
        rows = LegalHold.objects.filter(account_id=scope.account_id)[:200]
        return [_info(row) for row in rows]


def hold_set(*, actor: Actor, extent: Extent, reason: str) -> HoldInfo:
    """From now on nothing of the extent is removed; a removal under way is waited for.

    Raises ``Denied``, ``StepUpNeeded``, ``Invalid`` (no reason, an environment of somebody
    else, an end before the beginning).
    """
    scope = _own(actor)
    wrong = _wrong(scope, extent, reason)
    if wrong:
        raise Invalid("No hold was set.", fields=wrong)
    with scoped(scope):
        lock_retention(scope.account_id)
        row = LegalHold(
            account_id=scope.account_id,
            environment_id=extent.environment_id,
            since=extent.since,
            until=extent.until,
            reason=reason.strip(),
            set_at=now(),
            set_by=actor.label[:254],
        )
        row.save(force_insert=True)
        _record(actor, scope, row, "set")
    return _info(row)


def hold_release_ask(*, actor: Actor, hold_id: UUID, reason: str) -> HoldInfo:
    """The first step of lifting: says why. The hold stays in force.

    Raises ``Denied``, ``StepUpNeeded``, ``NotFound``, ``Invalid``, ``Conflict``.
    """
    scope = _own(actor)
    if not _is_text(reason):
        raise Invalid("It stays in force.", fields={"reason": f"1 to {LONGEST} characters."})
    with scoped(scope):
        row = _locked(scope, hold_id)
        if row.release_asked_at is not None:
            raise Conflict("Lifting it was asked for already; the second step is left.")
        row.release_asked_at, row.release_asked_by = now(), actor.label[:254]
        row.release_reason = reason.strip()
        row.save()
        _record(actor, scope, row, "release_ask")
    return _info(row)


def hold_release_cancel(*, actor: Actor, hold_id: UUID) -> HoldInfo:
    """Take the first step back. Raises ``Denied``, ``StepUpNeeded``, ``NotFound``,
    ``Conflict``.
    """
    scope = _own(actor)
    with scoped(scope):
        row = _locked(scope, hold_id)
        if row.release_asked_at is None:
            raise Conflict("Nobody asked to lift it.")
        row.release_asked_at, row.release_asked_by, row.release_reason = None, "", ""
        row.save()
        _record(actor, scope, row, "release_cancel")
    return _info(row)


def hold_release(*, actor: Actor, hold_id: UUID) -> HoldInfo:
    """The second step: the hold is lifted, and the next run removes what is too old.

    Raises ``Denied``, ``StepUpNeeded``, ``NotFound``, ``Conflict`` (not asked for before).
    """
    scope = _own(actor)
    with scoped(scope):
        row = _locked(scope, hold_id)
        if row.release_asked_at is None:
            raise Conflict("Lifting takes two steps: say first why it is to be lifted.")
        row.released_at, row.released_by = now(), actor.label[:254]
        row.save()
        _record(actor, scope, row, "release")
    return _info(row)


def _own(actor: Actor) -> Scope:
    require(actor, Permission.PULSE_HOLD_WRITE)
    require_whole_account(actor, "set or lift legal holds")
    require_fresh(actor)
    if actor.scope is None:
        raise Denied("Choose the account that you act for.")
    return actor.scope


def _wrong(scope: Scope, extent: Extent, reason: str) -> dict[str, str]:
    wrong = {}
    if not _is_text(reason):
        wrong["reason"] = f"1 to {LONGEST} characters: who asked for it, and in which matter."
    # Also of a closed one: its traffic is still there, and goes by its retention.
    own = {place.id for place in environments(scope, closed=True)}
    if extent.environment_id is not None and extent.environment_id not in own:
        wrong["environment"] = "Choose from the list."
    if extent.since is not None and extent.until is not None and extent.until <= extent.since:
        wrong["until"] = "After the beginning."
    return wrong


def _is_text(text: str) -> bool:
    return 0 < len(text.strip()) <= LONGEST and "\0" not in text


def _locked(scope: Scope, hold_id: UUID) -> LegalHold:
    rows = LegalHold.objects.select_for_update().filter(account_id=scope.account_id, id=hold_id)
    row: LegalHold | None = rows.first()
    if row is None:
        raise NotFound("There is no such hold.")
    if row.released_at is not None:
        raise Conflict("This hold was lifted already.")
    return row


def _record(actor: Actor, scope: Scope, row: LegalHold, verb: str) -> None:
    record(
        actor=actor,
        action=f"pulse.hold.{verb}",
        object_kind="legal_hold",
        object_id=row.id,
        scope=scope,
        data={
            "environment": str(row.environment_id or ""),
            "since": row.since.isoformat() if row.since else "",
            "until": row.until.isoformat() if row.until else "",
            "reason": row.reason,
            "release_reason": row.release_reason,
        },
    )


def _info(row: LegalHold) -> HoldInfo:
    return HoldInfo(**{name: getattr(row, name) for name in HoldInfo.__dataclass_fields__})
