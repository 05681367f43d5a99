"""Expiry of what was found in the traffic: issues and incidents, in PostgreSQL."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pulse.retention.keeping import is_held
from pulse.tables.alerts import Incident
from pulse.tables.issues import Issue, IssueActivity, IssueHour, IssueState
from pulse.tables.retention import LegalHold

_AT_ONCE = 1_000


def expire_issues(account_id: UUID, through: datetime, holds: list[LegalHold]) -> tuple[int, int]:
    """Issues that were last seen before the moment and are not open: how many there were, and
    how many went. In the caller's system mode.
    """
    rows = list(
        Issue.objects.filter(account_id=account_id, last_seen__lt=through)
        .exclude(state=IssueState.OPEN)
        .values_list("id", "environment_id", "first_seen", "last_seen")
    )
    going = [row[0] for row in rows if not is_held(holds, row[1], row[2], row[3])]
    for start in range(0, len(going), _AT_ONCE):
        some = going[start : start + _AT_ONCE]
        for part in (IssueHour, IssueActivity):
            part.objects.filter(account_id=account_id, issue_id__in=some).delete()
        Issue.objects.filter(account_id=account_id, id__in=some).delete()
    return len(rows), len(going)


def expire_incidents(
    account_id: UUID, through: datetime, holds: list[LegalHold]
) -> tuple[int, int]:
    """Incidents that ended before the moment: how many there were, and how many went."""
    over = Incident.objects.filter(account_id=account_id, fired_at__lt=through)
    ended = over.filter(recovered_at__lt=through) | over.exclude(closed_reason="")
    rows = list(ended.values_list("id", "environment_id", "started_at", "recovered_at"))
    going = [row[0] for row in rows if not is_held(holds, row[1], row[2], row[3] or through)]
    for start in range(0, len(going), _AT_ONCE):
        Incident.objects.filter(
            account_id=account_id, id__in=going[start : start + _AT_ONCE]
        ).delete()
    return len(rows), len(going)
