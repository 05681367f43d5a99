"""Writing usage: a full recount of every hour that a load touched.

Never an addition: an hour counted twice is the same hour. Counts of one account are made
one after the other, because a slower, older count must not overwrite a newer one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import structlog
from django.db import connection

from identity.selectors import scope_of
from pulse.models import TouchedHour, UsageHour
from pulse.retention.kinds import Kind
from pulse.store.client import Store
from pulse.store.usage import HourCount, count_hours, count_range
from pulse.tables.retention import RetentionMark
from qcloud.kernel.clock import now
from qcloud.kernel.errors import NotFound
from qcloud.kernel.scope import Scope, unscoped

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 5_000
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_COUNTED: Final = (
    "requests",
    "requests_ingress",
    "requests_egress_internal",
    "requests_egress_external",
    "bytes_sent",
    "bytes_received",
)


def recompute_touched(*, store: Store | None = None) -> int:
    """Count again every hour that has new events; returns how many hours were counted.

    Raises ``StoreUnavailable``; what was not counted stays noted.
    """
    with unscoped("metering: accounts with new events"):
        accounts = list(
            TouchedHour.objects.order_by("account_id").values_list("account_id").distinct()
        )
    return sum(recompute_account(account_id, store=store) for (account_id,) in accounts)


def recompute_usage(
    account_id: UUID, since: datetime, until: datetime, *, store: Store | None = None
) -> int:
    """Count again every hour that begins in ``[since, until)``, whole hours.

    An hour whose events are gone counts zero afterwards, but hours whose events expired stay
    as they were counted. Returns how many hours have events. Raises ``NotFound`` for an
    unknown account, ``StoreUnavailable``.
    """
    scope = scope_of(account_id)
    with unscoped("metering: recount a range"):
        wait_for_counting(account_id)
        since = max(since, expired_through(account_id))
        if since >= until:
            return 0
        counts = count_range(account_id, since, until, store=store)
        known = UsageHour.objects.filter(account_id=account_id, hour__gte=since, hour__lt=until)
        pairs = set(known.values_list("environment_id", "hour"))
        _write(scope, [*counts, *_zeros(pairs, counts)])
    return len(counts)


def recompute_account(account_id: UUID, *, store: Store | None = None) -> int:
    """As ``recompute_touched`` for one account."""
    done = 0
    while True:
        with unscoped("metering: recount touched hours"):
            wait_for_counting(account_id)
            notes = list(TouchedHour.objects.filter(account_id=account_id)[:_AT_ONCE])
            if notes:
                done += _recount(account_id, notes, store)
            TouchedHour.objects.filter(id__in=[note.id for note in notes]).delete()
        if len(notes) < _AT_ONCE:
            return done


def _recount(account_id: UUID, notes: list[TouchedHour], store: Store | None) -> int:
    try:
        scope = scope_of(account_id)
    except NotFound:
        log.error("metering: events of an account that does not exist", account=str(account_id))  # noqa: TRY400
        return 0
    expired = expired_through(account_id)
    touched = {(note.environment_id, note.hour) for note in notes if note.hour >= expired}
    if late := sum(note.hour < expired for note in notes):
        log.warning(
            "metering: events came behind their retention", account=str(account_id), hours=late
        )
    found = count_hours(account_id, {hour for _, hour in touched}, store=store)
    counts = [count for count in found if (count.environment_id, count.hour) in touched]
    _write(scope, [*counts, *_zeros(touched, counts)])
    return len(touched)


def wait_for_counting(account_id: UUID) -> None:
    """Until this transaction ends, nobody else counts this account."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"usage {account_id}"]
        )


def expired_through(account_id: UUID) -> datetime:
    """Hours before it have lost their events to retention and are never counted again. Stands
    still while this account is counted. In system mode.
    """
    marks = RetentionMark.objects.filter(account_id=account_id, kind=Kind.REQUESTS)
    return marks.values_list("through", flat=True).first() or _NEVER


def _zeros(pairs: set[tuple[UUID, datetime]], counts: list[HourCount]) -> list[HourCount]:
    missing = pairs - {(count.environment_id, count.hour) for count in counts}
    return [HourCount(environment, hour, 0, 0, 0, 0, 0, 0) for environment, hour in missing]


def _write(scope: Scope, counts: Iterable[HourCount]) -> None:
    moment = now()
    rows = [
        UsageHour(
            account_id=scope.account_id,
            account_path=scope.path,
            environment_id=count.environment_id,
            hour=count.hour,
            counted_at=moment,
            **{name: getattr(count, name) for name in _COUNTED},
        )
        for count in counts
    ]
    UsageHour.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=("account_id", "environment_id", "hour"),
        update_fields=(*_COUNTED, "account_path", "counted_at"),
        batch_size=1_000,
    )
