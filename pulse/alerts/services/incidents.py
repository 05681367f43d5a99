from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from audit.services import record
from fleet.selectors import environments
from pulse.alerts.selectors import IncidentInfo, SilenceInfo, incident_info, silence_info
from pulse.tables.alerts import AlertRule, Incident, Severity, Silence
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound
from qcloud.kernel.permissions import Actor, Permission, require
from qcloud.kernel.scope import Scope, scoped

LONGEST: Final = timedelta(days=90)


def incident_acknowledge(*, actor: Actor, incident_id: UUID) -> IncidentInfo:
    """Somebody looks after it: no repeats and no escalation any more.

    Raises ``Denied``, ``NotFound``, ``Conflict`` (over, or acknowledged already).
    """
    with scoped(_may(actor)):
        row = Incident.objects.select_for_update().filter(id=incident_id).first()
        if row is None:
            raise NotFound("There is no such incident in this account.")
        if row.recovered_at is not None:
            raise Conflict("The incident is over.")
        if row.acknowledged_at is not None:
            raise Conflict(f"{row.acknowledged_by} looks after it already.")
        row.acknowledged_at, row.acknowledged_by = now(), actor.label
        row.save(update_fields=["acknowledged_at", "acknowledged_by"])
        record(
            actor=actor,
            action="pulse.alert.acknowledge",
            object_kind="incident",
            object_id=row.id,
            data={"rule": row.rule_name},
        )
        return incident_info(row)


def silence_create(
    *,
    actor: Actor,
    reason: str,
    starts_at: datetime,
    ends_at: datetime,
    rule_id: UUID | None = None,
    severity: str = "",
    environment_id: UUID | None = None,
) -> SilenceInfo:
    """From one moment to another nobody is told of what matches everything that is given.

    Raises ``Denied``, ``Invalid`` with the fields.
    """
    scope = _may(actor)
    with scoped(scope):
        row = Silence(
            account_id=scope.account_id,
            rule_id=rule_id,
            severity=severity,
            environment_id=environment_id,
            starts_at=starts_at,
            ends_at=ends_at,
            reason=reason.strip(),
            created_by=actor.label,
        )
        _check(scope, row)
        row.save(force_insert=True)
        _journal(actor, "silence", row)
        return silence_info(row)


def silence_end(*, actor: Actor, silence_id: UUID) -> SilenceInfo:
    """Now; what still fires is told. Raises ``Denied``, ``NotFound``, ``Conflict`` (over)."""
    with scoped(_may(actor)):
        row = Silence.objects.select_for_update().filter(id=silence_id).first()
        if row is None:
            raise NotFound("There is no such silence in this account.")
        if row.ends_at <= now():
            raise Conflict("The silence is over.")
        row.ends_at = now()
        row.starts_at = min(row.starts_at, row.ends_at)
        row.save(update_fields=["starts_at", "ends_at"])
        _journal(actor, "silence_end", row)
        return silence_info(row)


def _may(actor: Actor) -> Scope:
    require(actor, Permission.PULSE_ALERT_WRITE)
    if actor.scope is None:
        raise Denied("Choose the account that you act for.")
    return actor.scope


def _check(scope: Scope, row: Silence) -> None:
    wrong = {}
    if not 1 <= len(row.reason) <= 300 or not row.reason.isprintable():
        wrong["reason"] = "Say why, in at most 300 characters: others will ask."
    if row.ends_at <= max(row.starts_at, now()):
        wrong["ends_at"] = "After its beginning, and after now."
    elif row.ends_at - row.starts_at > LONGEST:
        wrong["ends_at"] = "At most 90 days after its beginning: a silence is not for ever."
    if row.severity and row.severity not in Severity.values:
        wrong["severity"] = "Choose one of the list."
    if row.rule_id and not AlertRule.objects.filter(id=row.rule_id).exists():
        wrong["rule"] = "Choose one of your rules."
    places = {place.id for place in environments(scope)}
    limited = scope.environments is not None and row.environment_id is None
    if limited or (row.environment_id and row.environment_id not in places):
        wrong["environment"] = "Choose one of your environments."
    if wrong:
        raise Invalid("The silence cannot be made as it is.", fields=wrong)


def _journal(actor: Actor, verb: str, row: Silence) -> None:
    record(
        actor=actor,
        action=f"pulse.alert.{verb}",
        object_kind="silence",
        object_id=row.id,
        data={"reason": row.reason, "until": row.ends_at.isoformat()},
    )
