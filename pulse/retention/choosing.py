"""An account's own choice: previewed, confirmed, and to be taken back until it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from audit.services import record
from pulse.retention.expiring import old_rows
from pulse.retention.keeping import (
    NOTICE,
    chosen_days,
    holds_on,
    kept_days,
    next_run,
    through,
)
from pulse.retention.kinds import EVENTS, KINDS, ORDER, About, Kind
from pulse.retention.limits import Bounds, bounds
from pulse.store.client import Store
from pulse.store.retention import count_old
from pulse.tables.retention import RetentionChoice, RetentionMark, RetentionRun, RunState
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, Invalid
from qcloud.kernel.permissions import (
    Actor,
    Permission,
    require,
    require_fresh,
    require_whole_account,
)
from qcloud.kernel.scope import Scope, scoped


@dataclass(frozen=True)
class Kept:
    """One kind in one account."""

    kind: Kind
    about: About
    bounds: Bounds
    days: int
    """In force."""
    wanted: int
    """Chosen, or the platform's default; differs from ``days`` until ``Retention.holds_from``."""
    is_own: bool
    """The account chose it."""
    gone_before: datetime | None
    """What is before it was removed."""


@dataclass(frozen=True)
class Run:
    kind: Kind
    about: About
    through: datetime
    is_done: bool
    rows_before: int
    rows_deleted: int
    rows_after: int
    marked_at: datetime
    finished_at: datetime | None
    trouble: str


@dataclass(frozen=True)
class Retention:
    kept: tuple[Kept, ...]
    next_run: datetime
    holds_from: datetime | None
    """When what was shortened begins to hold; ``None``: nothing waits."""
    chosen_at: datetime | None
    chosen_by: str
    runs: tuple[Run, ...]
    """The newest first; at most 50."""

    @property
    def first_run(self) -> datetime | None:
        """The first one under what was shortened."""
        return next_run(self.holds_from) if self.holds_from else None


@dataclass(frozen=True)
class Effect:
    """What a choice would remove of one kind."""

    kind: Kind
    about: About
    days: int
    wanted: int
    before: datetime
    """What lies before it would go."""
    rows: int | None
    """That would go; ``None``: counted when the time has come (issues, incidents)."""
    held: int
    """Older as well, and kept by a legal hold."""
    oldest: datetime | None


def retention_of(scope: Scope) -> Retention:
    moment = now()
    with scoped(scope):
        choice = RetentionChoice.objects.filter(account_id=scope.account_id).first()
        marks = dict(
            RetentionMark.objects.filter(account_id=scope.account_id).values_list("kind", "through")
        )
        runs = list(RetentionRun.objects.filter(account_id=scope.account_id)[:50])
    days, wanted = kept_days(choice, moment), chosen_days(choice.days if choice else {})
    waits = choice is not None and moment < choice.holds_from and days != wanted
    return Retention(
        tuple(
            Kept(k, KINDS[k], bounds(k), days[k], wanted[k],
                 bool(choice and k in choice.days), marks.get(k))
            for k in Kind
        ),
        next_run(moment),
        choice.holds_from if choice and waits else None,
        choice.chosen_at if choice else None,
        choice.chosen_by if choice else "",
        tuple(_run(row) for row in runs),
    )  # fmt: skip


def retention_preview(
    scope: Scope, wanted: Mapping[Kind, int], *, store: Store | None = None
) -> list[Effect]:
    """What the first run with these days would remove. Raises ``Invalid``,
    ``StoreUnavailable``.
    """
    _check(wanted)
    moment = now()
    with scoped(scope):
        choice = RetentionChoice.objects.filter(account_id=scope.account_id).first()
        held = holds_on(scope.account_id)
    days, run = kept_days(choice, moment), next_run(moment + NOTICE)
    effects = []
    for kind in Kind:
        before = through(wanted[kind], run)
        rows, kept, oldest = None, 0, None
        if kind in EVENTS:
            found = [
                count_old(old, store=store)
                for old in old_rows(scope.account_id, kind, before, held, store=store)
            ]
            rows = sum(one.due for one in found)
            kept = sum(one.rows for one in found) - rows
            oldest = min((one.oldest for one in found if one.oldest), default=None)
        effects.append(
            Effect(kind, KINDS[kind], days[kind], wanted[kind], before, rows, kept, oldest)
        )
    return effects


def retention_choose(*, actor: Actor, wanted: Mapping[Kind, int]) -> Retention:
    """Keep each kind for so many days. Longer holds at once, shorter from the first run that
    is an hour away or more.

    Raises ``Denied``, ``StepUpNeeded`` (something is shortened), ``Invalid``.
    """
    scope = _own(actor)
    _check(wanted)
    moment = now()
    with scoped(scope):
        row = _locked(scope, moment)
        before = kept_days(row, moment)
        if any(wanted[kind] < before[kind] for kind in Kind):
            require_fresh(actor)
        row.previous = {str(kind): days for kind, days in before.items()}
        row.days = {str(kind): wanted[kind] for kind in Kind}
        row.holds_from = next_run(moment + NOTICE) - timedelta(seconds=1)
        row.chosen_at, row.chosen_by = moment, actor.label[:254]
        row.save()
        _record(actor, scope, row, "choose", before)
    return retention_of(scope)


def retention_undo(*, actor: Actor) -> Retention:
    """Take the last choice back while it does not hold yet. Raises ``Denied``, ``Conflict``."""
    scope = _own(actor)
    moment = now()
    with scoped(scope):
        row = _locked(scope, moment)
        if not row.previous or moment >= row.holds_from:
            raise Conflict("There is nothing to take back: what was chosen last holds already.")
        before = kept_days(row, moment)
        row.days, row.previous, row.holds_from = row.previous, {}, moment
        row.chosen_at, row.chosen_by = moment, actor.label[:254]
        row.save()
        _record(actor, scope, row, "undo", before)
    return retention_of(scope)


def _own(actor: Actor) -> Scope:
    require(actor, Permission.PULSE_RETENTION_WRITE)
    require_whole_account(actor, "change how long traffic is kept")
    if actor.scope is None:
        raise Denied("Choose the account that you act for.")
    return actor.scope


def _check(wanted: Mapping[Kind, int]) -> None:
    wrong: dict[str, str] = {}
    for kind in Kind:
        limit = bounds(kind)
        if not limit.least <= wanted.get(kind, 0) <= limit.most:
            wrong[kind] = f"Between {limit.least} and {limit.most} days."
    for shorter, longer in ORDER:
        if not wrong.keys() & {shorter, longer} and wanted[shorter] > wanted[longer]:
            wrong[shorter] = f"No longer than “{KINDS[longer].label}”: {wanted[longer]} days."
    if wrong:
        raise Invalid("Nothing was changed.", fields=wrong)


def _locked(scope: Scope, moment: datetime) -> RetentionChoice:
    """The account's row, made at first use, locked."""
    RetentionChoice.objects.bulk_create(
        [RetentionChoice(account_id=scope.account_id, holds_from=moment, chosen_at=moment)],
        ignore_conflicts=True,
    )
    row: RetentionChoice = RetentionChoice.objects.select_for_update().get(
        account_id=scope.account_id
    )
    return row


def _record(
    actor: Actor, scope: Scope, row: RetentionChoice, verb: str, before: Mapping[Kind, int]
) -> None:
    record(
        actor=actor,
        action=f"pulse.retention.{verb}",
        object_kind="retention",
        object_id=row.id,
        scope=scope,
        data={
            "before": {str(kind): days for kind, days in before.items()},
            "after": row.days,
            "holds_from": row.holds_from.isoformat(),
        },
    )


def _run(row: RetentionRun) -> Run:
    kind = Kind(row.kind)
    names = ("through", "rows_before", "rows_deleted", "rows_after", "marked_at", "finished_at",
             "trouble")  # fmt: skip
    values = {name: getattr(row, name) for name in names}
    return Run(kind=kind, about=KINDS[kind], is_done=row.state == RunState.DONE, **values)
