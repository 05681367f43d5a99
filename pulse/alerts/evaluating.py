"""One rule, brought up to the present: readings, steps, incidents, and who is told.

Runs twice at once: the second finds the rule locked, or nothing left to evaluate. Was not run
for a while: every minute is made up for, and only what still matters is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from pulse.alerts.machine import Effect, Progress, step
from pulse.alerts.readings import MINUTE, Measured, readings
from pulse.alerts.rules import Spec
from pulse.alerts.silencing import silenced
from pulse.alerts.telling import tell
from pulse.errors import StoreUnavailable
from pulse.store.client import Store
from pulse.tables.alerts import AlertRule, Incident, Phase, Silence
from qcloud.kernel.scope import Scope, scoped, unscoped

LAG: Final = timedelta(seconds=60)
"""Events need their time from the node to the store; a minute is judged a minute later."""
CATCH_UP: Final = timedelta(hours=24)
"""What lies further back than this is not made up for."""
_LOUD: Final = frozenset({Effect.TELL, Effect.REPEAT, Effect.ESCALATE})
FRESH: Final = timedelta(minutes=5)
"""What happened before this and is over is noted and not told."""


def accounts_with_rules() -> list[UUID]:
    with unscoped("alerts: accounts that have rules"):
        rows = AlertRule.objects.filter(enabled=True).values_list("account_id", flat=True)
        return list(rows.distinct().order_by("account_id"))


def enabled_rules(scope: Scope) -> list[UUID]:
    with scoped(scope):
        return list(AlertRule.objects.filter(enabled=True).values_list("id", flat=True))


def evaluate(scope: Scope, rule_id: UUID, moment: datetime, *, store: Store | None = None) -> int:
    """Bring a rule up to ``moment``; how many minutes were judged."""
    last = (moment - LAG).replace(second=0, microsecond=0)
    with scoped(scope):
        row = (
            AlertRule.objects.select_for_update(skip_locked=True)
            .filter(id=rule_id, enabled=True)
            .first()
        )
        if row is None or row.evaluated_at >= last:
            return 0
        spec = Spec.load(row.spec)
        first = max(row.evaluated_at + MINUTE, last - CATCH_UP)
        try:
            found = readings(scope, spec, row.environment_id, first, last, store=store)
        except StoreUnavailable as error:
            # The watermark stays: these minutes are judged when the store is back.
            AlertRule.objects.filter(id=row.id).update(trouble=error.message[:300])
            return 0
        _walk(row, spec, found)
        row.evaluated_at, row.trouble = last, ""
        row.save()
        return len(found)


def _walk(row: AlertRule, spec: Spec, found: Sequence[Measured]) -> None:
    progress = Progress.load(row.progress)
    incident = _open_incident(row) if progress.phase == "firing" else None
    silences = list(Silence.objects.filter(ends_at__gt=found[0].at)) if found else []
    told = False
    for measured in found:
        late = measured.at < found[-1].at - FRESH
        hushed = silenced(silences, row, measured.at)
        progress, effects = step(
            progress,
            measured.reading,
            measured.at,
            spec.times,
            quiet=late or hushed or told,
            acknowledged=bool(incident and incident.acknowledged_at),
        )
        # One run tells of one incident once: what would repeat meanwhile repeats next time.
        told = Effect.RECOVER not in effects and (told or bool(_LOUD & set(effects)))
        incident = _applied(row, incident, progress, measured, effects)
        if incident and hushed and not incident.silenced:
            incident.silenced = True
            incident.save(update_fields=["silenced"])
    if found:
        row.value = found[-1].value
        row.phase = _phase(progress)
    row.progress = progress.dump()


def _phase(progress: Progress) -> str:
    if progress.phase == "firing" and progress.without_data:
        return Phase.NO_DATA
    return Phase(progress.phase)


def _open_incident(row: AlertRule) -> Incident | None:
    found: Incident | None = (
        Incident.objects.select_for_update().filter(rule_id=row.id, recovered_at=None).first()
    )
    return found


def _applied(
    row: AlertRule,
    incident: Incident | None,
    progress: Progress,
    measured: Measured,
    effects: Sequence[Effect],
) -> Incident | None:
    spec = Spec.load(row.spec)
    if incident is not None and Effect.RECOVER not in effects:
        # Before anybody is told, so that the message says it too.
        incident.no_data = progress.without_data
    for effect in effects:
        if effect is Effect.FIRE:
            incident = _begin(row, progress, measured)
        elif incident is None:
            continue
        elif effect is Effect.RECOVER:
            _end(row, spec, incident, measured)
            return None
        else:
            incident.told += effect is not Effect.ESCALATE
            incident.escalated |= effect is Effect.ESCALATE
            tell(row, spec, incident, effect, measured)
    if incident is not None:
        _worst(spec, incident, measured)
        incident.save()
    return incident


def _begin(row: AlertRule, progress: Progress, measured: Measured) -> Incident:
    made: Incident
    made, _ = Incident.objects.get_or_create(
        account_id=row.account_id,
        rule_id=row.id,
        fired_at=measured.at,
        defaults={
            "rule_name": row.name,
            "severity": row.severity,
            "environment_id": row.environment_id,
            "started_at": progress.since or measured.at,
            "no_data": progress.without_data,
            "first_value": measured.value,
            "worst_value": measured.value,
        },
    )
    return made


def _end(row: AlertRule, spec: Spec, incident: Incident, measured: Measured) -> None:
    incident.recovered_at = measured.at
    incident.save()
    if incident.told:
        tell(row, spec, incident, Effect.RECOVER, measured)


def _worst(spec: Spec, incident: Incident, measured: Measured) -> None:
    if measured.value is None:
        return
    choose = max if spec.above else min
    worst = incident.worst_value
    incident.worst_value = measured.value if worst is None else choose(worst, measured.value)
