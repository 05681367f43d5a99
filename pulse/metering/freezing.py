"""Freezing usage at a billing cut-off, so that an invoice can be explained for ever.

A freeze is a text of one line an hour, sorted, whole numbers and UTC times alone. Its digest
is SHA-256 over the digest before it, its own head and its text: whoever changes, drops or
exchanges one of an account's freezes breaks every digest behind it. Raw events may expire.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from django.db import connection

from identity.selectors import scope_of
from pulse.metering.counting import recompute_account
from pulse.metering.hours import UsageHourInfo, usage_hours
from pulse.store.client import Store
from pulse.tables.frozen import UsageFreeze
from qcloud.kernel.clock import now
from qcloud.kernel.errors import NotFound
from qcloud.kernel.scope import Scope, scoped, unscoped

_COUNTS: Final = ("requests", "requests_ingress", "requests_egress_internal",
                  "requests_egress_external", "bytes_sent", "bytes_received")  # fmt: skip


@dataclass(frozen=True)
class FrozenUsage:
    """An account's usage of ``[since, until)`` as it was at ``created_at``."""

    id: UUID
    account_id: UUID
    number: int
    reference: str
    since: datetime
    until: datetime
    hours: int
    document: str
    digest: str
    previous: str
    created_at: datetime

    @property
    def holds(self) -> bool:
        """Whether the digest is that of what stands here."""
        return self.digest == digest_of(self)

    def total(self, count: str) -> int:
        """The sum of one of the counts, ``requests`` for example, over all hours."""
        place = 2 + _COUNTS.index(count)
        return sum(int(line.split(",")[place]) for line in self.document.splitlines())


def freeze_usage(
    account_id: UUID,
    since: datetime,
    until: datetime,
    *,
    reference: str,
    store: Store | None = None,
) -> FrozenUsage:
    """Count what is still to be counted and keep the hours that begin in ``[since, until)``.

    Called by billing in the cut-off's own transaction or before it; the same ``reference``
    again gives the same freeze. Raises ``NotFound`` for an unknown account,
    ``StoreUnavailable``.
    """
    scope = scope_of(account_id)
    recompute_account(account_id, store=store)
    with unscoped("metering: freeze usage"):
        _wait_for_others(account_id)
        found = UsageFreeze.objects.filter(account_id=account_id, reference=reference).first()
        if found is None:
            found = _frozen(scope, since, until, reference)
            found.save(force_insert=True)
    return _info(found)


def usage_freeze(scope: Scope, reference: str, *, account_id: UUID) -> FrozenUsage:
    """The freeze of that reference. Raises ``NotFound``."""
    with scoped(scope):
        found = UsageFreeze.objects.filter(account_id=account_id, reference=reference).first()
    if found is None:
        raise NotFound("No usage was frozen for this.")
    return _info(found)


def broken_freezes(scope: Scope, account_id: UUID) -> list[int]:
    """Numbers in the account's chain at which it is broken; empty: every freeze is as it was."""
    with scoped(scope):
        rows = UsageFreeze.objects.filter(account_id=account_id).order_by("number")
        freezes = [_info(row) for row in rows]
    broken, previous = [], ""
    for expected, freeze in enumerate(freezes, start=1):
        if not freeze.holds or freeze.previous != previous or freeze.number != expected:
            broken.append(freeze.number)
        previous = freeze.digest
    return broken


def document_of(rows: Sequence[UsageHourInfo]) -> str:
    """The canonical text: environment, hour, counts; sorted by hour and environment."""
    ordered = sorted(rows, key=lambda row: (row.hour, row.environment_id))
    return "".join(
        f"{row.environment_id},{row.hour.astimezone(UTC):%Y-%m-%dT%H:00Z},"
        + ",".join(str(getattr(row, name)) for name in _COUNTS)
        + "\n"
        for row in ordered
    )


def digest_of(freeze: FrozenUsage | UsageFreeze) -> str:
    """SHA-256, hexadecimal."""
    head = (
        f"{freeze.previous}\n{freeze.account_id}\n{freeze.number}\n{freeze.reference}\n"
        f"{freeze.since.astimezone(UTC).isoformat()}\n{freeze.until.astimezone(UTC).isoformat()}\n"
        f"{freeze.hours}\n"
    )
    return hashlib.sha256((head + freeze.document).encode()).hexdigest()


def _frozen(scope: Scope, since: datetime, until: datetime, reference: str) -> UsageFreeze:
    own = [row for row in usage_hours(scope, since, until) if row.account_id == scope.account_id]
    last = UsageFreeze.objects.filter(account_id=scope.account_id).order_by("-number").first()
    freeze = UsageFreeze(
        account_id=scope.account_id,
        account_path=scope.path,
        reference=reference,
        since=since,
        until=until,
        hours=len(own),
        document=document_of(own),
        previous=last.digest if last else "",
        number=last.number + 1 if last else 1,
        created_at=now(),
    )
    freeze.digest = digest_of(freeze)
    return freeze


def _wait_for_others(account_id: UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"freeze {account_id}"]
        )


def _info(row: UsageFreeze) -> FrozenUsage:
    return FrozenUsage(**{name: getattr(row, name) for name in FrozenUsage.__annotations__})
