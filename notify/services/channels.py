"""An account's channels: made, changed, tried out, removed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from audit.services import record
from notify.addresses import mail_address
from notify.channels import ChannelInfo, info
from notify.errors import NoChannel
from notify.models import MAX_TO, Channel, Kind
from notify.notices import Notice
from notify.outside import checked_url
from notify.services.telling import channel_send
from notify.signing import new_secret
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, Invalid
from qcloud.kernel.ids import new_id
from qcloud.kernel.permissions import Actor, Permission, require
from qcloud.kernel.scope import Scope, scoped

MOST: Final = 50
"""Channels of one account."""
MOST_ADDRESSES: Final = 20
OVERLAP: Final = timedelta(hours=24)
"""How long a replaced secret signs beside the new one."""


def channel_create(
    *, actor: Actor, kind: str, name: str, addresses: Sequence[str] = (), url: str = ""
) -> tuple[ChannelInfo, str]:
    """A new channel; for a webhook also the secret that signs it, this once.

    ``addresses`` for mail, ``url`` for the others. Raises ``Denied``, ``Invalid``,
    ``Conflict`` (the name is taken, or there are too many).
    """
    scope = _may(actor)
    target, shown = _target(kind, addresses, url)
    with scoped(scope):
        _room_for(scope, _named(name))
        row = Channel(
            id=new_id(), account_id=scope.account_id, kind=kind, name=_named(name),
            target=json.dumps(target), shown=shown, created_by=actor.label,
        )  # fmt: skip
        secret = new_secret() if kind == Kind.WEBHOOK else ""
        row.secret = secret or None
        row.save(force_insert=True)
        _journal(actor, "create", row)
    return info(row), secret


def channel_change(
    *, actor: Actor, channel_id: UUID, name: str, addresses: Sequence[str] = (), url: str = ""
) -> ChannelInfo:
    """Another name, and another target unless both are left empty. Raises as ``create``."""
    scope = _may(actor)
    with scoped(scope):
        row = _row(channel_id)
        if _named(name) != row.name:
            _room_for(scope, _named(name))
        row.name = _named(name)
        if addresses or url:
            target, row.shown = _target(row.kind, addresses, url)
            row.target = json.dumps(target)
        row.save()
        _journal(actor, "change", row)
    return info(row)


def channel_secret_rotate(*, actor: Actor, channel_id: UUID) -> tuple[ChannelInfo, str]:
    """A new signing secret, shown this once; the old one signs beside it for a day.

    Raises ``Denied``, ``NoChannel``, ``Conflict`` for a channel that signs nothing.
    """
    with scoped(_may(actor)):
        row = _row(channel_id)
        if row.kind != Kind.WEBHOOK:
            raise Conflict("Only webhooks are signed.")
        secret = new_secret()
        row.old_secret, row.old_secret_until = row.secret.reveal(), now() + OVERLAP
        row.secret = secret
        row.save()
        _journal(actor, "rotate", row)
    return info(row), secret


def channel_remove(*, actor: Actor, channel_id: UUID) -> None:
    """What still waits for it is given up. Raises ``Denied``, ``NoChannel``."""
    with scoped(_may(actor)):
        row = _row(channel_id)
        _journal(actor, "remove", row)
        row.delete()


def channel_test(*, actor: Actor, channel_id: UUID, link: str) -> tuple[UUID, ...]:
    """Send a message that says that it is a test. Raises ``Denied``, ``NoChannel``."""
    scope = _may(actor)
    with scoped(scope):
        row = _row(channel_id)
        _journal(actor, "test", row)
        return channel_send(
            account_id=scope.account_id,
            channel_id=row.id,
            notice=Notice(
                event="channel.test",
                heading=f"This is a test of the channel “{row.name}”",
                state="Test",
                severity="info",
                facts=(("Asked for by", actor.label),),
                link=link,
                data={"channel": row.name},
            ),
            key=f"channel.test:{new_id()}",
        )


def _may(actor: Actor) -> Scope:
    require(actor, Permission.NOTIFY_CHANNEL_WRITE)
    if actor.scope is None:
        raise Denied("Choose the account that you act for.")
    return actor.scope


def _row(channel_id: UUID) -> Channel:
    row: Channel | None = Channel.objects.select_for_update().filter(id=channel_id).first()
    if row is None:
        raise NoChannel
    return row


def _named(name: str) -> str:
    if not 1 <= len(name.strip()) <= 100 or not name.isprintable():
        raise Invalid(
            "The name cannot be used.", fields={"name": "Between 1 and 100 printable characters."}
        )
    return name.strip()


def _room_for(scope: Scope, name: str) -> None:
    rows = Channel.objects.filter(account_id=scope.account_id)
    if rows.filter(name=name).exists():
        raise Conflict(
            f"There is a channel “{name}” already.", fields={"name": "Choose another name."}
        )
    if rows.count() >= MOST:
        raise Conflict(f"An account has at most {MOST} channels. Remove one first.")


def _target(kind: str, addresses: Sequence[str], url: str) -> tuple[dict[str, Any], str]:
    if kind == Kind.MAIL:
        return _addresses(addresses)
    if kind not in {Kind.WEBHOOK, Kind.SLACK}:
        raise Invalid("Choose mail, webhook or Slack.", fields={"kind": "Choose one of the three."})
    parts = checked_url(url.strip())
    return {"url": url.strip()}, f"{parts.hostname} …{url.strip()[-4:]}"[:MAX_TO]


def _addresses(addresses: Sequence[str]) -> tuple[dict[str, Any], str]:
    wanted = list(dict.fromkeys(a.strip() for a in addresses if a.strip()))
    if not 1 <= len(wanted) <= MOST_ADDRESSES:
        raise Invalid(
            "Whom should it write to?",
            fields={"addresses": f"Between 1 and {MOST_ADDRESSES} addresses."},
        )
    try:
        found = [mail_address(address) for address in wanted]
    except Invalid as error:
        raise Invalid(error.message, fields={"addresses": error.data["fields"]["to"]}) from None
    return {"addresses": found}, ", ".join(found)[:MAX_TO]


def _journal(actor: Actor, verb: str, row: Channel) -> None:
    record(
        actor=actor,
        action=f"notify.channel.{verb}",
        object_kind="channel",
        object_id=row.id,
        data={"name": row.name, "kind": row.kind, "target": row.shown},
    )
