"""What an account has, as one archive: asked for by an owner, packed by a worker.

It changes nothing of the account, so it can also be had while that is suspended or closing.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from django.db import IntegrityError, transaction

from audit.services import record
from identity.models import Takeout, TakeoutPiece
from identity.takeouts import TakeoutInfo, takeout, takeout_info
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied
from qcloud.kernel.permissions import (
    Actor,
    Permission,
    require,
    require_fresh,
    require_whole_account,
)
from qcloud.kernel.scope import Scope, scoped


def takeout_start(*, actor: Actor, link: str) -> TakeoutInfo:
    """Ask for an archive of the actor's account; a worker takes it up within seconds.

    ``link`` is the page that will offer it, for the mail. Raises ``Denied``, ``StepUpNeeded``,
    ``Conflict`` (one is being packed already).
    """
    place = _own(actor)
    require_fresh(actor)
    row = Takeout(
        account_id=place.account_id,
        asked_at=now(),
        asked_by=actor.id,
        asked_label=actor.label[:254],
        link=link[:500],
    )
    with scoped(place):
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError as error:
            raise Conflict(
                "An export is being packed already. It is offered here when it is done."
            ) from error
        _record(actor, place, "start", row.id, {})
    return takeout_info(row)


def takeout_remove(*, actor: Actor, takeout_id: UUID) -> None:
    """Remove an archive before its time. Raises ``Denied``, ``NotFound``, ``Conflict``."""
    place = _own(actor)
    if takeout(place, takeout_id).is_going:
        raise Conflict("It is being packed. Remove it when it is done.")
    with scoped(place):
        Takeout.objects.filter(id=takeout_id, account_id=place.account_id).delete()
        _record(actor, place, "remove", takeout_id, {})


def takeout_open(*, actor: Actor, takeout_id: UUID) -> tuple[TakeoutInfo, Iterator[bytes]]:
    """The archive for whoever may have it, and its bytes in pieces.

    Raises ``Denied``, ``StepUpNeeded``, ``NotFound``, ``Conflict`` (not there yet, or over).
    """
    place = _own(actor)
    require_fresh(actor)
    found = takeout(place, takeout_id)
    if not found.can_be_had:
        raise Conflict("This export cannot be had: it is not packed yet, or its time is over.")
    with scoped(place):
        _record(actor, place, "download", found.id, {"size": found.size, "sha256": found.sha256})
    return found, _pieces(place, found.id)


def _pieces(place: Scope, takeout_id: UUID) -> Iterator[bytes]:
    """Each in a transaction of its own: who downloads slowly holds none."""
    position = 0
    while True:
        with scoped(place):
            row = TakeoutPiece.objects.filter(
                account_id=place.account_id, takeout_id=takeout_id, position=position
            ).first()
            if row is None:
                return
            piece = row.data.reveal_bytes()
        yield piece
        position += 1


def _own(actor: Actor) -> Scope:
    require(actor, Permission.IDENTITY_ACCOUNT_EXPORT)
    require_whole_account(actor, "export the account")
    if actor.scope is None or actor.delegation is not None:
        raise Denied("Only staff of the account itself takes its data along.")
    return actor.scope


def _record(
    actor: Actor, place: Scope, verb: str, takeout_id: UUID, data: dict[str, object]
) -> None:
    record(
        actor=actor,
        action=f"identity.takeout.{verb}",
        object_kind="takeout",
        object_id=takeout_id,
        scope=place,
        data=data,
    )
