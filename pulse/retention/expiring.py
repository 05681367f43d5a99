"""Removing what is too old, night after night, counted, and never what is held.

1. *mark*: one transaction says how far the kind is gone. From then on nobody counts that time
   anew: usage and rollups of it stay as they are, whatever arrives late. It waits until
   everything that was loaded before is counted.
2. *remove*: some minutes later, when no page reads by what it knew before, rows are counted,
   deleted and counted again. A hold that was set in between is respected.

Killed anywhere, the mark tells the next one what is still to be removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from django.db import connection

from pulse.metering.counting import recompute_account, wait_for_counting
from pulse.models import ErasedAccount, TouchedHour
from pulse.retention.findings import expire_incidents, expire_issues
from pulse.retention.keeping import (
    held,
    held_days,
    holds_on,
    kept_days,
    mark_of,
    midnight,
    through,
)
from pulse.retention.kinds import EVENTS, LEVELS, Kind
from pulse.rollups.rebuild import rebuild_account
from pulse.rollups.swap import wait_for_rebuild
from pulse.store.client import ClickHouseError, Store
from pulse.store.retention import Count, Old, count_old, delete_old, tables_of_others
from pulse.tables.alerts import Incident
from pulse.tables.issues import Issue
from pulse.tables.retention import (
    LegalHold,
    RetentionChoice,
    RetentionMark,
    RetentionRun,
    RunState,
)
from pulse.tables.rollups import RollupDay, TouchedSpan
from pulse.tables.taken import EventsTaken
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped

log = structlog.get_logger(__name__)

PAUSE: Final = timedelta(minutes=3)
"""Longer than any query runs: readers who knew an older mark are done."""
ALWAYS: Final = datetime(2000, 1, 1, tzinfo=UTC)
RUNS_KEPT: Final = timedelta(days=400)
"""What each run removed, by its counts, can be looked up for more than a year."""
_DAYS: Final = 400
"""Days at most whose manifests are changed in one transaction; the next run goes on."""


def expire_due(*, store: Store | None = None) -> int:
    """Mark what is too old, and remove what was marked; returns rows that went.

    What the store refuses of one account keeps nobody else's. Raises ``StoreUnavailable``: the
    next call goes on.
    """
    gone = 0
    for account_id in _accounts():
        with _alone(account=str(account_id)):
            mark_account(account_id, store=store)
    for run_id in _marked():
        with _alone(run=str(run_id)):
            gone += remove(run_id, store=store)
    _forget_old_runs()
    return gone


def _forget_old_runs() -> None:
    with unscoped("retention: runs of long ago"):
        ended = RetentionRun.objects.filter(state=RunState.DONE)
        ended.filter(finished_at__lt=now() - RUNS_KEPT).delete()


@contextmanager
def _alone(**whose: str) -> Iterator[None]:
    try:
        yield
    except ClickHouseError as error:
        log.warning("retention: the event store refuses", error=str(error)[:300], **whose)


def mark_account(account_id: UUID, *, store: Store | None = None) -> None:
    """Say of every kind how far it is gone. Harmless to repeat."""
    moment = now()
    with unscoped("retention: what is due"):
        choice = RetentionChoice.objects.filter(account_id=account_id).first()
        days = kept_days(choice, moment)
        targets = {kind: through(days[kind], moment) for kind in Kind}
        due = {k: t for k, t in targets.items() if (mark_of(account_id, k) or ALWAYS) < t}
    if Kind.REQUESTS in due:
        recompute_account(account_id, store=store)
        rebuild_account(account_id, store=store)
    for kind, target in due.items():
        _mark(account_id, kind, target)


def _mark(account_id: UUID, kind: Kind, target: datetime) -> None:
    with unscoped("retention: what is due"):
        lock_retention(account_id)
        wait_for_counting(account_id)
        wait_for_rebuild(account_id)
        before = mark_of(account_id, kind) or ALWAYS
        target = min(target, _counted_through(account_id, before)) if kind in EVENTS else target
        if target <= before or _under_way(account_id, kind):
            return
        RetentionMark.objects.update_or_create(
            account_id=account_id, kind=kind, defaults={"through": target}
        )
        if kind in LEVELS:
            _forget_versions(account_id, kind, target)
        RetentionRun.objects.create(
            account_id=account_id, kind=kind, through=target, marked_at=now()
        )


def _counted_through(account_id: UUID, before: datetime) -> datetime:
    """The day up to which everything that was loaded is counted, usage and rollups.

    A load notes its spans when it is claimed and its hours when it is done, and its spans are
    settled only after that: so they are looked at in this order. Notes before the old mark
    are of events that came too late and hold nobody up.
    """
    spans = TouchedSpan.objects.filter(account_id=account_id, until__gt=before)
    hours = TouchedHour.objects.filter(account_id=account_id, hour__gte=before)
    noted = spans.order_by("since").values_list("since", flat=True).first()
    hour = hours.order_by("hour").values_list("hour", flat=True).first()
    first = min(filter(None, (noted, hour)), default=now())
    return midnight(max(first, before))


def _forget_versions(account_id: UUID, kind: Kind, target: datetime) -> None:
    """Nobody reads these sums any more: swapped out before they are removed."""
    rows = RollupDay.objects.filter(account_id=account_id, day__lt=target.date()).order_by("day")
    holds = holds_on(account_id)
    for row in rows.iterator():
        if held_days(holds, row.day, row.day):
            continue
        if kind is Kind.QUARTERS and any(row.quarters):
            row.quarters = [0] * len(row.quarters)
        elif kind is Kind.HOURS and any(row.hours):
            row.hours = [0] * len(row.hours)
        elif kind is Kind.DAYS:
            row.delete()
            continue
        else:
            continue
        row.save()


def remove(run_id: UUID, *, store: Store | None = None) -> int:
    """Remove what one run marked; how many rows went. Raises ``StoreUnavailable``."""
    _count_first(run_id, store)
    with unscoped("retention: remove what was marked"):
        run = RetentionRun.objects.filter(id=run_id, state=RunState.MARKED).first()
        if run is None:
            return 0
        # A hold waits for us, or we find it: none is set while rows go.
        lock_retention(run.account_id)
        run.refresh_from_db()
        if run.state != RunState.MARKED:
            return 0
        holds = holds_on(run.account_id)
        if run.kind in EVENTS:
            _remove_events(run, holds, store)
        else:
            expire = expire_issues if run.kind == Kind.ISSUES else expire_incidents
            run.rows_before, run.rows_deleted = expire(run.account_id, run.through, holds)
            run.rows_after = run.rows_before - run.rows_deleted
        _finish(run)
    return int(run.rows_deleted)


def _count_first(run_id: UUID, store: Store | None) -> None:
    """How many rows there are, kept before any of them goes: who is killed behind the removal
    leaves a number for the next one to tell what went.
    """
    with unscoped("retention: remove what was marked"):
        run = RetentionRun.objects.filter(id=run_id, state=RunState.MARKED, rows_before=0).first()
        if run is None or run.kind not in EVENTS:
            return
        olds = old_rows(run.account_id, Kind(run.kind), run.through, [], store=store)
        run.rows_before = sum(count_old(old, store=store).rows for old in olds)
        run.save(update_fields=["rows_before"])


def _remove_events(run: RetentionRun, holds: list[LegalHold], store: Store | None) -> None:
    noted, run.rows_before = run.rows_before, 0
    run.rows_after = run.rows_deleted = 0
    run.trouble = ""
    for old in old_rows(run.account_id, Kind(run.kind), run.through, holds, store=store):
        before = after = count_old(old, store=store)
        if before.due:
            try:
                delete_old(old, store=store)
            except ClickHouseError as error:
                run.trouble = str(error).splitlines()[0][:300]
                run.rows_before = max(noted, before.rows)
                return
            after = count_old(old, store=store)
        run.rows_before += before.rows
        run.rows_after += after.rows
        run.rows_deleted += before.due - after.due
        run.trouble = run.trouble or _trouble(before, after)
    # What an earlier removal took away that did not come to tell it.
    run.rows_deleted += max(noted - run.rows_before, 0)
    run.rows_before = max(noted, run.rows_before)


def _trouble(before: Count, after: Count) -> str:
    if after.due:
        return f"{after.due} rows are still there: they arrived meanwhile. It goes on."
    if before.rows != after.rows + before.due:
        return (
            "Rows that are held changed in number while others were removed. It is counted again."
        )
    return ""


def _finish(run: RetentionRun) -> None:
    if run.trouble:
        log.warning("retention goes on", account=str(run.account_id), trouble=run.trouble)
    elif not run.rows_deleted and not run.rows_after:
        run.delete()  # nothing was there: nothing to tell
        return
    else:
        run.state, run.finished_at = RunState.DONE, now()
        log.info("expired", account=str(run.account_id), kind=run.kind, rows=run.rows_deleted)
    run.save()


def old_rows(
    account_id: UUID,
    kind: Kind,
    until: datetime,
    holds: list[LegalHold],
    *,
    store: Store | None = None,
) -> list[Old]:
    """What of the kind is before ``until``, table by table, and what of it may not go."""
    if kind not in LEVELS:
        tables = ("requests",) if kind is Kind.REQUESTS else tables_of_others()
        return [Old(account_id, until, events=table, held=held(holds)) for table in tables]
    old = Old(account_id, until, level=LEVELS[kind])
    oldest = count_old(old, store=store).oldest if holds else None
    if oldest is None:
        return [old]
    days = held_days(holds, oldest.date(), until.date())
    return [Old(account_id, until, level=LEVELS[kind], held_days=days)]


def lock_retention(account_id: UUID) -> None:
    """Until this transaction ends, nobody else marks, removes or holds of this account."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"retention {account_id}"]
        )


def _accounts() -> list[UUID]:
    with unscoped("retention: accounts with data"):
        found: set[UUID] = set()
        # Events taken are of every kind: an account may have others and not one request.
        for model in (RollupDay, TouchedSpan, RetentionMark, Issue, Incident, EventsTaken):
            rows = model.objects.order_by("account_id").values_list("account_id", flat=True)
            found.update(rows.distinct())
        found -= set(ErasedAccount.objects.values_list("account_id", flat=True))
    return sorted(found)


def _marked() -> list[UUID]:
    with unscoped("retention: remove what was marked"):
        due = RetentionRun.objects.filter(state=RunState.MARKED, marked_at__lte=now() - PAUSE)
        return list(due.order_by("id").values_list("id", flat=True))


def _under_way(account_id: UUID, kind: Kind) -> bool:
    runs = RetentionRun.objects.filter(account_id=account_id, kind=kind, state=RunState.MARKED)
    return bool(runs.exists())
