"""What people do with issues. Each function checks, changes, notes and audits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from audit.services import record
from identity.selectors import account, staff
from pulse.issues.observing import note
from pulse.issues.selectors import IssueInfo, info
from pulse.tables.issues import Issue, IssueState
from qcloud.kernel.clock import now, told
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound
from qcloud.kernel.permissions import Actor, Permission, require
from qcloud.kernel.scope import scoped

LONGEST_IGNORE: Final = timedelta(days=365)
LONGEST_NOTE: Final = 2_000


def issue_assign(*, actor: Actor, issue_id: UUID, user_id: UUID | None) -> IssueInfo:
    """Somebody of the account looks after it; ``None``: nobody. Raises ``Denied``,
    ``NotFound``, ``Invalid`` (not a member of this account).
    """
    require(actor, Permission.PULSE_ISSUE_WRITE)
    scope = actor.scope
    if scope is None:
        raise Denied("Choose the account that you act for.")
    people = {person.user_id: person for person in staff(scope)}
    if user_id is not None and user_id not in people:
        raise Invalid(
            "Only staff of this account can be given an issue.",
            fields={"user_id": "Choose somebody from the list."},
        )
    email = people[user_id].email if user_id else ""

    def assign(row: Issue) -> str:
        row.assignee_id, row.assignee = user_id, email
        return email or "nobody"

    return _change(actor, issue_id, "assigned", assign)


def issue_resolve(*, actor: Actor, issue_id: UUID) -> IssueInfo:
    """It is mended: what happens from now on makes it come back. Raises ``Denied``,
    ``NotFound``, ``Conflict`` (resolved already).
    """
    require(actor, Permission.PULSE_ISSUE_WRITE)

    def resolve(row: Issue) -> str:
        if row.state == IssueState.RESOLVED:
            raise Conflict("The issue is resolved already.")
        row.state, row.resolved_at, row.ignored_until = IssueState.RESOLVED, now(), None
        return ""

    return _change(actor, issue_id, "resolved", resolve)


def issue_reopen(*, actor: Actor, issue_id: UUID) -> IssueInfo:
    """It is not mended, or no longer to be ignored. Raises ``Denied``, ``NotFound``,
    ``Conflict`` (open already).
    """
    require(actor, Permission.PULSE_ISSUE_WRITE)

    def reopen(row: Issue) -> str:
        if row.state == IssueState.OPEN:
            raise Conflict("The issue is open already.")
        row.state, row.resolved_at, row.ignored_until = IssueState.OPEN, None, None
        row.opened_at = now()
        return ""

    return _change(actor, issue_id, "reopened", reopen)


def issue_ignore(*, actor: Actor, issue_id: UUID, until: datetime | None) -> IssueInfo:
    """Counted and quiet, until a moment or, with ``None``, until somebody reopens it.

    Raises ``Denied``, ``NotFound``, ``Invalid`` (the moment is past, or above a year away).
    """
    require(actor, Permission.PULSE_ISSUE_WRITE)
    if until is not None and not now() < until <= now() + LONGEST_IGNORE:
        raise Invalid(
            "It can be ignored until a moment within a year from now.",
            fields={"until": "A moment after now, at most a year away."},
        )

    def ignore(row: Issue) -> str:
        row.state, row.ignored_until, row.resolved_at = IssueState.IGNORED, until, None
        return f"until {told(until, account(row.account_id).timezone)}" if until else "for good"

    return _change(actor, issue_id, "ignored", ignore)


def issue_note(*, actor: Actor, issue_id: UUID, text: str) -> IssueInfo:
    """Something that others who look at it should know. It stays in the activity.

    Raises ``Denied``, ``NotFound``, ``Invalid`` (empty, too long).
    """
    require(actor, Permission.PULSE_ISSUE_WRITE)
    words = text.replace("\r\n", "\n").strip()
    if not words or len(words) > LONGEST_NOTE or "\0" in words:
        raise Invalid(
            "The note was not kept.",
            fields={"text": f"Between 1 and {LONGEST_NOTE:,} characters."},
        )
    return _change(actor, issue_id, "noted", lambda _row: words)


def _change(actor: Actor, issue_id: UUID, what: str, change: Callable[[Issue], str]) -> IssueInfo:
    if actor.scope is None:
        raise Denied("Choose the account that you act for.")
    with scoped(actor.scope):
        row = Issue.objects.select_for_update().filter(id=issue_id).first()
        if row is None:
            raise NotFound("There is no such issue in this account.")
        text = change(row)
        row.save()
        note(row, now(), actor.label, what, text)
        data: dict[str, Any] = {"host": row.host[:200], "route": row.route[:200]}
        if what != "noted":
            # A note may be long and personal; that there is one is what the journal keeps.
            data["to"] = text
        record(
            actor=actor,
            action=f"pulse.issue.{what}",
            object_kind="issue",
            object_id=row.id,
            data=data,
        )
        return info(row)
