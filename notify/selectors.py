"""Reads of the delivery log."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from django.db.models import BooleanField, ExpressionWrapper, Q

from notify.models import Attempt, Delivery
from qcloud.kernel.errors import Denied
from qcloud.kernel.scope import Scope, Tier, scoped, unscoped
from qcloud.kernel.sealing import PLATFORM

SORTS: Final = ("created_at", "attempts", "state", "to", "what")


@dataclass(frozen=True, slots=True)
class DeliveryInfo:
    id: UUID
    kind: str
    what: str
    to: str
    subject: str
    state: str
    attempts: int
    next_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    reason: str
    has_message: bool
    channel_id: UUID | None


@dataclass(frozen=True, slots=True)
class AttemptInfo:
    number: int
    at: datetime
    duration_ms: int
    outcome: str
    status: int
    answer: str


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    text: str = ""
    """Part of address, subject or kind of message."""
    state: str = ""
    kind: str = ""
    since: datetime | None = None
    until: datetime | None = None
    channel_ids: tuple[UUID, ...] = ()
    key_prefix: str = ""
    """Of the business key, for whoever made it."""
    masked: bool = False
    """For somebody who may not read addresses: nor find by them."""


def readable(scope: Scope | None) -> AbstractContextManager[Any]:
    """Opens what ``rows_of`` reads: the provider also reads the platform's own deliveries."""
    if scope is None:
        raise Denied("Choose the account that you act for.")
    if scope.tier is Tier.CLOUD:
        return unscoped("notify: the provider reads the platform's own deliveries")
    return scoped(scope)


def rows_of(scope: Scope | None) -> Any:
    """The account's own deliveries, inside ``readable``; never another account's."""
    if scope is None:
        raise Denied("Choose the account that you act for.")
    owners = [scope.account_id, PLATFORM] if scope.tier is Tier.CLOUD else [scope.account_id]
    return Delivery.objects.filter(account_id__in=owners)


def deliveries(
    scope: Scope,
    chosen: DeliveryFilter,
    *,
    sort: str = "created_at",
    descending: bool = True,
    offset: int = 0,
    limit: int = 50,
) -> tuple[list[DeliveryInfo], int]:
    """A stretch of the log and how many there are in all. ``sort`` is one of ``SORTS``."""
    way = "-" if descending else ""
    key = sort if sort in SORTS else "created_at"
    if chosen.masked and key == "to":
        # Their order would tell what they begin with.
        key = "created_at"
    with readable(scope):
        rows = _narrowed(rows_of(scope), chosen)
        page = rows.order_by(f"{way}{key}", f"{way}id")[offset : offset + limit]
        found = [_info(row) for row in page.values(*_FIELDS, has_message=_HAS)]
        return [_masked(row) for row in found] if chosen.masked else found, rows.count()


def masked_address(text: str) -> str:
    """``carla@acme.example`` as ``c…@acme.example``; whatever is no address of mail as it is
    up to its host, because what follows may be a secret.
    """
    if "://" in text:
        parts = urlsplit(text)
        return f"{parts.scheme}://{parts.hostname or ''}/…"
    name, at, host = text.rpartition("@")
    return f"{name[:1]}…{at}{host}" if at else text


def _masked(row: DeliveryInfo) -> DeliveryInfo:
    return replace(row, to=masked_address(row.to), reason=_hider(row.to)(row.reason))


def delivery(
    scope: Scope, delivery_id: UUID, *, masked: bool = False
) -> tuple[DeliveryInfo, list[AttemptInfo]] | None:
    """One delivery with its attempts, the latest first."""
    with readable(scope):
        row = rows_of(scope).filter(id=delivery_id).values(*_FIELDS, has_message=_HAS).first()
        if row is None:
            return None
        tries = Attempt.objects.filter(delivery_id=delivery_id).order_by("-id")[:100]
        found = _masked(_info(row)) if masked else _info(row)
        hide = _hider(row["to"]) if masked else str
        return found, [
            AttemptInfo(t.number, t.at, t.duration_ms, t.outcome, t.status, hide(t.answer))
            for t in tries
        ]


def _hider(address: str) -> Callable[[str], str]:
    """Servers repeat in their answers whom they refuse."""
    if not address:
        return str
    whole, shown = re.compile(re.escape(address), re.IGNORECASE), masked_address(address)
    return lambda answer: whole.sub(lambda _: shown, answer)


def _narrowed(rows: Any, chosen: DeliveryFilter) -> Any:
    if chosen.text:
        text = chosen.text
        wanted = Q(subject__icontains=text) | Q(what__icontains=text)
        rows = rows.filter(wanted if chosen.masked else wanted | Q(to__icontains=text))
    plain = {"state": chosen.state, "kind": chosen.kind, "created_at__gte": chosen.since,
             "created_at__lt": chosen.until, "key__startswith": chosen.key_prefix}  # fmt: skip
    rows = rows.filter(**{name: value for name, value in plain.items() if value})
    return rows.filter(channel_id__in=chosen.channel_ids) if chosen.channel_ids else rows


_FIELDS: Final = tuple(field.name for field in fields(DeliveryInfo) if field.name != "has_message")
_HAS: Final = ExpressionWrapper(Q(payload__isnull=False), BooleanField())


def _info(row: dict[str, Any]) -> DeliveryInfo:
    return DeliveryInfo(**row)
