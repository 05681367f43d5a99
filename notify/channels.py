"""Channels as others read them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from notify.models import Channel
from qcloud.kernel.clock import now
from qcloud.kernel.scope import Scope, scoped, unscoped


@dataclass(frozen=True, slots=True)
class ChannelInfo:
    id: UUID
    kind: str
    name: str
    shown: str
    created_at: datetime
    created_by: str
    old_secret_until: datetime | None
    """Set while a secret that was replaced still signs."""


@dataclass(frozen=True, slots=True)
class Target:
    url: str
    secrets: tuple[str, ...]
    """Those that sign now, the newest first; none for Slack."""


def channels(scope: Scope) -> list[ChannelInfo]:
    with scoped(scope):
        return [info(row) for row in Channel.objects.all()]


def info(row: Channel) -> ChannelInfo:
    until = row.old_secret_until
    return ChannelInfo(
        row.id, row.kind, row.name, row.shown, row.created_at, row.created_by,
        until if until and until > now() else None,
    )  # fmt: skip


def opened(row: Channel) -> dict[str, Any]:
    """The target in the clear. Raises what ``Sealer.unseal`` raises."""
    found: dict[str, Any] = json.loads(row.target.reveal())
    return found


def target_of(channel_id: UUID | None, account_id: UUID) -> Target | None:
    """Where a webhook goes and what signs it; ``None`` for a channel that is gone."""
    with unscoped("notify: a webhook is sent whoever it is for"):
        row = Channel.objects.filter(id=channel_id, account_id=account_id).first()
        if row is None:
            return None
        secrets = [row.secret.reveal()] if row.secret else []
        if row.old_secret and row.old_secret_until and row.old_secret_until > now():
            secrets.append(row.old_secret.reveal())
        return Target(opened(row)["url"], tuple(secrets))
