"""A notice to a channel."""

from __future__ import annotations

import hashlib
import json
from uuid import UUID

from notify import queue
from notify.brand import Brand
from notify.channels import opened
from notify.models import MAX_SUBJECT, Channel, Kind
from notify.notices import Notice, mail_context, slack_body, webhook_body
from notify.rendering import one_line
from notify.services.mail import mail_send
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped


def channel_send(
    *, account_id: UUID, channel_id: UUID, notice: Notice, key: str, brand: Brand | None = None
) -> tuple[UUID, ...]:
    """Write the deliveries of one notice in the caller's transaction; they leave on commit.

    A mail channel makes one for each address. The same ``key`` is the same notice: asked for
    twice, told once. Empty when the channel is gone.
    """
    with unscoped("notify: an account's channel, asked for by the platform"):
        row = Channel.objects.filter(id=channel_id, account_id=account_id).first()
        if row is None:
            return ()
        own = f"{key}/{channel_id.hex}"
        if row.kind == Kind.MAIL:
            return tuple(
                mail_send(
                    account_id=account_id,
                    to=address,
                    template="alert",
                    context=mail_context(notice),
                    key=f"{own}/{hashlib.sha256(address.encode()).hexdigest()[:16]}",
                    brand=brand,
                    channel_id=channel_id,
                )
                for address in opened(row)["addresses"]
            )
        return (_hook(row, notice, own),)


def _hook(row: Channel, notice: Notice, key: str) -> UUID:
    body = (
        slack_body(notice)
        if row.kind == Kind.SLACK
        else webhook_body(notice, sent_at=now().isoformat())
    )
    return queue.put(
        account_id=row.account_id,
        kind=row.kind,
        what=notice.event,
        to=row.shown,
        key=key,
        subject=one_line(f"[{notice.state}] {notice.heading}")[:MAX_SUBJECT],
        channel_id=row.id,
        payload={"body": json.dumps(body, ensure_ascii=True, separators=(",", ":"))},
    )
