from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from audit.services import record
from fleet.selectors import environments
from notify.channels import channels
from notify.services import channel_remove
from pulse.alerts.rules import Draft, measures_of, permission_of
from pulse.alerts.selectors import RuleInfo, rule_info
from pulse.tables.alerts import AlertRule, Incident, Phase, Severity
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound
from qcloud.kernel.permissions import Actor, Permission, require
from qcloud.kernel.scope import Scope, scoped

MOST: Final = 200
"""Rules of one account."""


def rule_create(*, actor: Actor, draft: Draft) -> RuleInfo:
    """A rule that is evaluated from now on.

    Raises ``Denied``, ``Invalid`` (with the fields), ``Conflict`` (name taken, too many).
    """
    scope = _may(actor)
    with scoped(scope):
        _may_read(actor, draft.spec.measure)
        _check(scope, draft)
        if AlertRule.objects.count() >= MOST:
            raise Conflict(f"An account has at most {MOST} rules. Remove one first.")
        row = AlertRule(account_id=scope.account_id, created_by=actor.label)
        _fill(row, draft)
        row.save(force_insert=True)
        _journal(actor, "create", row)
    return rule_info(row)


def rule_change(*, actor: Actor, rule_id: UUID, draft: Draft) -> RuleInfo:
    """What it watched until now is over: an open incident ends, and it begins afresh.

    Raises as ``rule_create``, and ``NotFound``.
    """
    scope = _may(actor)
    with scoped(scope):
        row = _row(rule_id)
        _may_read(actor, draft.spec.measure)
        _check(scope, draft, but=row.id)
        _close(row, "The rule was changed.")
        _fill(row, draft)
        row.save()
        _journal(actor, "change", row)
    return rule_info(row)


def rule_switch(*, actor: Actor, rule_id: UUID, enabled: bool) -> RuleInfo:
    """Off: not evaluated, and an open incident ends. Raises ``Denied``, ``NotFound``."""
    with scoped(_may(actor)):
        row = _row(rule_id)
        if row.enabled != enabled:
            _close(row, "The rule was switched off.")
            row.enabled, row.evaluated_at = enabled, _this_minute()
            row.save()
            _journal(actor, "enable" if enabled else "disable", row)
    return rule_info(row)


def rule_remove(*, actor: Actor, rule_id: UUID) -> None:
    """Its incidents stay readable. Raises ``Denied``, ``NotFound``."""
    with scoped(_may(actor)):
        row = _row(rule_id)
        _close(row, "The rule was removed.")
        _journal(actor, "remove", row)
        row.delete()


def alert_channel_remove(*, actor: Actor, channel_id: UUID) -> None:
    """Remove a channel that no rule tells. Raises ``Conflict`` naming the rules that do, and
    what ``channel_remove`` raises.
    """
    require(actor, Permission.NOTIFY_CHANNEL_WRITE)
    with scoped(_may(actor)):
        text = str(channel_id)
        used = [
            r.name for r in AlertRule.objects.all() if text in r.channels + r.escalation_channels
        ]
        if used:
            raise Conflict(
                f"These rules tell this channel: {', '.join(used[:5])}. Choose another one there"
                " first."
            )
        channel_remove(actor=actor, channel_id=channel_id)
        record(
            actor=actor,
            action="pulse.alert.channel_remove",
            object_kind="channel",
            object_id=channel_id,
        )


def _may(actor: Actor) -> Scope:
    require(actor, Permission.PULSE_ALERT_WRITE)
    if actor.scope is None:
        raise Denied("Choose the account that you act for.")
    return actor.scope


def _row(rule_id: UUID) -> AlertRule:
    row: AlertRule | None = AlertRule.objects.select_for_update().filter(id=rule_id).first()
    if row is None:
        raise NotFound("There is no such rule in this account.")
    return row


def _may_read(actor: Actor, measure: str) -> None:
    """Raises ``Denied``: a number that is told says what the actor may not look up."""
    if (needed := permission_of(measure)) is not None:
        require(actor, needed)


def _check(scope: Scope, draft: Draft, but: UUID | None = None) -> None:
    """Raises ``Invalid`` for what is not the account's, ``Conflict`` for a name that is taken."""
    wrong = {}
    name = draft.name.strip()
    if not 1 <= len(name) <= 100 or not name.isprintable():
        wrong["name"] = "Between 1 and 100 printable characters."
    if draft.severity not in Severity.values:
        wrong["severity"] = "Choose how bad it is."
    if draft.spec.measure not in {measure.key for measure in measures_of(scope.tier)}:
        wrong["measure"] = "This is measured in customers' accounts alone."
    places = {place.id for place in environments(scope)}
    limited = scope.environments is not None and draft.environment_id is None
    if limited or (draft.environment_id and draft.environment_id not in places):
        wrong["environment"] = "Choose one of your environments."
    known = {channel.id for channel in channels(scope)}
    if not set(draft.channels) <= known:
        wrong["channels"] = "Choose channels of this account."
    if not set(draft.escalation_channels) <= known:
        wrong["escalation_channels"] = "Choose channels of this account."
    if draft.spec.escalate and not draft.escalation_channels:
        wrong["escalation_channels"] = "Choose who is told then."
    if wrong:
        raise Invalid("The rule cannot be used as it is.", fields=wrong)
    if AlertRule.objects.filter(name=name).exclude(id=but).exists():
        raise Conflict(f"There is a rule “{name}” already.", fields={"name": "Choose another."})


def _fill(row: AlertRule, draft: Draft) -> None:
    row.name, row.severity = draft.name.strip(), draft.severity
    row.environment_id, row.spec = draft.environment_id, draft.spec.dump()
    row.channels = [str(i) for i in draft.channels]
    row.escalation_channels = [str(i) for i in draft.escalation_channels]
    row.evaluated_at = _this_minute()
    row.phase, row.progress, row.value, row.trouble = Phase.OK, {}, None, ""


def _this_minute() -> datetime:
    return now().replace(second=0, microsecond=0)


def _close(row: AlertRule, why: str) -> None:
    Incident.objects.filter(rule_id=row.id, recovered_at=None).update(
        recovered_at=now(), closed_reason=why
    )
    row.phase, row.progress = Phase.OK, {}


def _journal(actor: Actor, verb: str, row: AlertRule) -> None:
    record(
        actor=actor,
        action=f"pulse.alert.{verb}",
        object_kind="alert_rule",
        object_id=row.id,
        data={"name": row.name, "severity": row.severity, "measure": row.spec["measure"]},
    )
