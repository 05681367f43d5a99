"""The access log: one row for each attempt to get in, each step, each end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest

from audit.services import Outcome, record
from identity.limits import PORTALS
from identity.models import AccessEvent, Account, Membership, User
from identity.signin_models import MAX_REASON, MAX_USER_AGENT, MAX_USER_NAME
from identity.sites import PLATFORM, Site
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import Scope, Tier, unscoped

SIGN_IN: Final = "sign_in"
PASSWORD: Final = "password"  # noqa: S105  the first of two steps
SECOND_FACTOR: Final = "second_factor"
STEP_UP: Final = "step_up"
SIGN_OUT: Final = "sign_out"
SESSION_END: Final = "session_end"
HAND_OVER: Final = "hand_over"
PORTAL_REFUSED: Final = "portal_refused"
ENROLMENT: Final = "mfa_set_up"
RESET: Final = "password_reset"

EVENTS: Final = {
    SIGN_IN: "Sign-in",
    PASSWORD: "Password",
    SECOND_FACTOR: "Second factor",
    STEP_UP: "Confirmation",
    SIGN_OUT: "Sign-out",
    SESSION_END: "Session end",
    HAND_OVER: "From another portal",
    PORTAL_REFUSED: "Portal refused",
    ENROLMENT: "MFA set-up",
    RESET: "Password reset",
}

_NOWHERE: Final = (UUID(int=0), "/")


@dataclass(frozen=True)
class Visitor:
    """Where an attempt comes from."""

    ip: str
    user_agent: str
    request_id: str
    portal: str = ""
    site: Site = PLATFORM

    @classmethod
    def of(cls, request: HttpRequest, *, ip: str, request_id: str, portal: str) -> Visitor:
        # No text of ours is longer than its column, whatever a client sends.
        agent = clean(request.headers.get("User-Agent", ""), MAX_USER_AGENT)
        site = getattr(request, "typed_site", PLATFORM)  # by the middleware that reads the host
        return cls(ip[:64], agent, request_id, portal, site)


@dataclass(frozen=True)
class Note:
    """What is known beside event and outcome."""

    factor: str = ""
    session_id: UUID | None = None
    flags: Sequence[dict[str, str]] = ()
    place: dict[str, Any] = field(default_factory=dict)


def access_record(
    *,
    event: str,
    outcome: Outcome,
    visitor: Visitor,
    user: User | None,
    user_name: str = "",
    reason: str = "",
    note: Note | None = None,
    journal: str = "",
) -> UUID:
    """Write one row in a transaction of its own or the caller's; returns its id.

    ``journal`` names the action under which the audit journal keeps it too, in the same
    transaction. The row belongs to the account that the person works for in that portal.
    """
    name = clean(user.email if user else user_name, MAX_USER_NAME)
    scope = home(user.id if user else None, visitor.portal)
    known = note or Note()
    with unscoped("access log: attempts are written before a tenant is known"):
        row = AccessEvent(
            account_id=scope.account_id if scope else _NOWHERE[0],
            account_path=scope.path if scope else _NOWHERE[1],
            event=event,
            outcome=outcome.value,
            reason=reason[:MAX_REASON],
            user_id=user.id if user else None,
            user_name=name,
            portal=visitor.portal,
            factor=known.factor,
            ip=visitor.ip,
            user_agent=visitor.user_agent,
            flags=list(known.flags),
            session_id=known.session_id,
            request_id=visitor.request_id,
            **known.place,
        )
        row.save(force_insert=True)
        if journal:
            _journal(row, scope, visitor, journal, outcome)
    return row.id


def _journal(
    row: AccessEvent, scope: Scope | None, visitor: Visitor, action: str, outcome: Outcome
) -> None:
    data = {"user_name": row.user_name, "user_agent": visitor.user_agent}
    if row.factor:
        data["factor"] = row.factor
    record(
        actor=Actor(
            "staff",
            row.user_id,
            row.user_name,
            scope,
            frozenset(),
            ip=visitor.ip,
            request_id=visitor.request_id,
        ),
        action=action,
        outcome=outcome,
        reason=row.reason,
        data=data,
    )


def home(user_id: UUID | None, portal: str = "") -> Scope | None:
    """The account that the person has worked for longest, in that portal if in any; else the
    provider's, so that somebody reads of attempts on nobody.
    """
    with unscoped("access log: under which account an attempt is kept"):
        jobs = Membership.objects.filter(user_id=user_id).order_by("id")
        # Asked for nobody too: the number of queries must not tell who exists.
        ids = list(jobs.values_list("account_id", flat=True))
        rows = {row.id: row for row in Account.objects.filter(id__in=ids)}
        fitting = [i for i in ids if i in rows and rows[i].tier == PORTALS.get(portal)]
        first = next(iter(fitting or ids), None)
        row = rows.get(first) if first else Account.objects.filter(tier=Tier.CLOUD).first()
    return Scope(row.id, row.account_path, Tier(row.tier)) if row else None


def clean(text: str, limit: int) -> str:
    """PostgreSQL stores no NUL; whoever sends one must not escape the log by it."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:limit]
