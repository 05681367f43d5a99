"""Mail, and deliveries that were given up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from audit.services import record
from notify import queue
from notify.addresses import mail_address
from notify.brand import Brand
from notify.errors import NoDelivery, NothingToSend
from notify.models import Kind, State
from notify.policies import MAIL_SENDER_NAME
from notify.rendering import render
from notify.selectors import readable, rows_of
from qcloud.kernel.clock import now
from qcloud.kernel.permissions import Actor, Permission, require
from qcloud.kernel.sealing import PLATFORM
from qcloud.kernel.settings import value


def mail_send(
    *,
    account_id: UUID | None,
    to: str,
    template: str,
    context: Mapping[str, Any],
    key: str,
    brand: Brand | None = None,
    channel_id: UUID | None = None,
) -> UUID:
    """Write a mail in the caller's transaction; it leaves when that commits.

    ``account_id`` is whose staff reads it in their delivery log, ``None``: the platform's.
    ``key`` is the caller's business key, ``invitation:<id>``: the same key of one account is
    one mail, however often it is asked for, and the first content stays. The content is sealed
    until it is delivered and then dropped. Returns the delivery's id.

    Raises ``Invalid`` for an address that cannot be written to, ``ValueError`` for an unknown
    template or a name that it lacks, ``SealerUnavailable`` when the keys cannot be reached.
    """
    chosen = brand or Brand(product=value(MAIL_SENDER_NAME))
    address = mail_address(to)
    for other in filter(None, (chosen.sender, chosen.reply_to)):
        mail_address(other)
    rendered = render(template, context, chosen)
    return queue.put(
        account_id=account_id or PLATFORM,
        kind=Kind.MAIL,
        what=template,
        to=address,
        key=key,
        subject=rendered.subject,
        channel_id=channel_id,
        payload={**asdict(rendered), "brand": asdict(chosen)},
    )


def delivery_send_again(*, actor: Actor, delivery_id: UUID) -> None:
    """Try a delivery that was given up once more, with a day of retries before it.

    Raises ``Denied``, ``NoDelivery``, ``NothingToSend``.
    """
    require(actor, Permission.NOTIFY_DELIVERY_WRITE)
    with readable(actor.scope):
        row = rows_of(actor.scope).select_for_update().filter(id=delivery_id).first()
        if row is None:
            raise NoDelivery
        if row.state != State.FAILED:
            raise NothingToSend(f"This message is {row.get_state_display().lower()} already.")
        if row.payload is None:
            raise NothingToSend(
                "The message itself was dropped a week after it was given up."
                " Do again what it was sent for."
            )
        row.state, row.next_at, row.created_at = State.WAITING, now(), now()
        row.finished_at = None
        row.save(update_fields=["state", "next_at", "created_at", "finished_at"])
        record(
            actor=actor,
            action="notify.delivery.send_again",
            object_kind="delivery",
            object_id=row.id,
            data={"what": row.what, "to": row.to},
        )
        queue.start_on_commit(row.id)
