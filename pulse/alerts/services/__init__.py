"""What people do with alerts. Each function checks, changes and audits."""

from pulse.alerts.services.incidents import incident_acknowledge, silence_create, silence_end
from pulse.alerts.services.rules import (
    alert_channel_remove,
    rule_change,
    rule_create,
    rule_remove,
    rule_switch,
)

__all__ = [
    "alert_channel_remove",
    "incident_acknowledge",
    "rule_change",
    "rule_create",
    "rule_remove",
    "rule_switch",
    "silence_create",
    "silence_end",
]
