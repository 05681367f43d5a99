"""Security → MFA: who needs a second factor, seen before it holds; and who is excused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render

from identity.mfa import Affected, Rule, affected, group_names, policy
from identity.selectors import children
from identity.services import (
    mfa_exempt,
    mfa_exemption_end,
    mfa_factors_reset,
    mfa_group_set,
    mfa_policy_with,
    mfa_rule_draft,
    mfa_rule_remove,
    mfa_rule_set,
)
from portal.door import action, page
from portal.here import Here
from portal.kit import formats
from portal.kit.forms import Failure, attempt, failure
from portal.kit.tables import Cell, Choice, Column, TableSpec, fetch_from, table
from qcloud.kernel.errors import Invalid
from qcloud.kernel.permissions import Permission, RoleName
from qcloud.kernel.scope import Tier

SUBJECTS: Final = (
    ("all", "Everybody"),
    ("tier", "A tier"),
    ("account", "An account"),
    ("group", "A group"),
    ("role", "A role"),
)
STATES: Final = {
    "ready": Cell("ready", tone="ok", icon="check"),
    "must set up": Cell("must set up", tone="danger", icon="lock"),
    "in grace": Cell("in grace", tone="warn", icon="clock"),
    "exempt": Cell("exempt", tone="muted", icon="info"),
}
_SPEC: Final[TableSpec[Affected]] = TableSpec(
    name="mfa-affected",
    noun="people",
    placeholder="Filter by name, address or account",
    choices=(
        Choice("state", "State", tuple((k, k) for k in STATES)),
        Choice("new", "Change", (("yes", "newly required"), ("no", "required already"))),
    ),
    columns=(
        Column("name", "Name", lambda a: a.name, lambda a: Cell(a.name, sub=a.email)),
        Column("email", "E-mail address", lambda a: a.email, shown=False),
        Column("accounts", "Works for", lambda a: a.accounts),
        Column("state", "State", lambda a: a.state, lambda a: STATES[a.state]),
        Column(
            "due_at",
            "Required from",
            lambda a: a.due_at,
            lambda a: Cell("", time=a.due_at) if a.due_at else Cell(formats.NONE),
        ),
        Column(
            "is_new",
            "Change",
            lambda a: "newly required" if a.is_new else "required already",
        ),
    ),
)


@page(Permission.IDENTITY_MFA_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    return _index(request, here, None)


def _index(request: HttpRequest, here: Here, failed: Failure | None) -> HttpResponseBase:
    present = policy()
    people = affected(present, present)
    shown = _table(request, people)
    if isinstance(shown, HttpResponseBase):
        return shown
    names = _names(here)
    emails = {person.user_id: person.email for person in people}
    context = {
        "table": shown,
        "rules": [(rule, _words(rule, names)) for rule in present.rules],
        "exemptions": [
            (e, names.get(str(e.account_id)) or emails.get(e.user_id) or str(e.user_id))  # type: ignore[arg-type]
            for e in present.exemptions
        ],
        "groups": [(names[key], len(people_)) for key, people_ in present.groups.items()],
        "counts": _counts(people),
        "failed": failed,
        "may_write": here.may_write(Permission.IDENTITY_MFA_WRITE),
        **_form(),
    }
    return render(request, "pages/mfa.html", context, status=failed.status if failed else 200)


def _table(request: HttpRequest, people: list[Affected]) -> Any:
    tests = {
        "state": lambda a, value: a.state == value,
        "new": lambda a, value: a.is_new is (value == "yes"),
    }
    return table(request, _SPEC, fetch_from(people, _SPEC, **tests))


def _counts(people: list[Affected]) -> dict[str, int]:
    return {
        "all": len(people),
        "new": sum(a.is_new for a in people),
        "must": sum(a.state == "must set up" for a in people),
        "grace": sum(a.state == "in grace" for a in people),
        "exempt": sum(a.state == "exempt" for a in people),
    }


def _names(here: Here) -> dict[str, str]:
    accounts = [here.account, *children(here.scope)]
    return {str(account.id): account.name for account in accounts} | group_names()


def _words(rule: Rule, names: dict[str, str]) -> str:
    name = names.get(rule.value, rule.value)
    return {
        "all": "Everybody",
        "tier": f"Everybody of tier {name}",
        "account": f"Staff of {name}",
        "group": f"Group {name}",
        "role": f"Role {name}",
    }[rule.subject]


def _form() -> dict[str, Any]:
    return {
        "subjects": SUBJECTS,
        "hints": [*(tier.value for tier in Tier), *(role.value for role in RoleName)],
        "choices": (("yes", "required"), ("no", "not required by this rule")),
    }


def _draft(request: HttpRequest) -> Rule:
    """The rule that the form or the preview's address describes. Raises ``Invalid``."""
    given = request.POST if request.method == "POST" else request.GET
    try:
        grace = int(given.get("grace_days", "0") or "0")
    except ValueError as error:
        raise Invalid("Give the days.", fields={"grace_days": "A whole number."}) from error
    return mfa_rule_draft(
        given.get("subject", ""),
        given.get("value", ""),
        required=given.get("required", "yes") == "yes",
        grace_days=grace,
    )


@page(Permission.IDENTITY_MFA_WRITE)
def preview(request: HttpRequest, here: Here) -> HttpResponseBase:
    """Whom a rule would meet, counted and by name, before it is saved."""
    try:
        draft = _draft(request)
    except Invalid as error:
        return _index(request, here, failure(request, "rule", error))
    people = affected(policy(), mfa_policy_with(draft))
    shown = _table(request, people)
    if isinstance(shown, HttpResponseBase):
        return shown
    context = {
        "table": shown,
        "rule": draft,
        "words": _words(draft, _names(here)),
        "counts": _counts(people),
        "crumbs": [("MFA", here.url("mfa"))],
    }
    return render(request, "pages/mfa_preview.html", context)


def _done(
    request: HttpRequest, here: Here, dialog: str, words: str, change: Any
) -> HttpResponseBase:
    outcome = attempt(request, here.scope, dialog, change)
    if isinstance(outcome, Failure):
        return _index(request, here, outcome)
    messages.success(request, words)
    return HttpResponseRedirect(here.url("mfa"))


@action(Permission.IDENTITY_MFA_WRITE)
def rule_set(request: HttpRequest, here: Here) -> HttpResponseBase:
    def change() -> Rule:
        draft = _draft(request)
        return mfa_rule_set(
            actor=here.actor,
            subject=draft.subject,
            value=draft.value,
            required=draft.required,
            grace_days=draft.grace.days,
        )

    return _done(request, here, "rule", "The rule holds.", change)


@action(Permission.IDENTITY_MFA_WRITE)
def rule_remove(request: HttpRequest, here: Here, rule_id: UUID) -> HttpResponseBase:
    return _done(
        request,
        here,
        "rule",
        "The rule was removed.",
        lambda: mfa_rule_remove(actor=here.actor, rule_id=rule_id),
    )


@action(Permission.IDENTITY_MFA_WRITE)
def group_set(request: HttpRequest, here: Here) -> HttpResponseBase:
    posted = request.POST
    return _done(
        request,
        here,
        "group",
        "The group was saved.",
        lambda: mfa_group_set(
            actor=here.actor, name=posted.get("group", ""), emails=posted.get("emails", "")
        ),
    )


@action(Permission.IDENTITY_MFA_WRITE)
def exempt(request: HttpRequest, here: Here) -> HttpResponseBase:
    def change() -> object:
        try:
            day = datetime.strptime(request.POST.get("ends_at", ""), "%Y-%m-%d")  # noqa: DTZ007
        except ValueError as error:
            raise Invalid("Choose the last day.", fields={"ends_at": "A date."}) from error
        return mfa_exempt(
            actor=here.actor,
            whom=request.POST.get("whom", ""),
            reason=request.POST.get("reason", ""),
            ends_at=day.replace(hour=23, minute=59, tzinfo=UTC),
        )

    return _done(request, here, "exempt", "The exemption holds.", change)


@action(Permission.IDENTITY_MFA_WRITE)
def factors_reset(request: HttpRequest, here: Here) -> HttpResponseBase:
    posted = request.POST
    return _done(
        request,
        here,
        "reset",
        "The second factor was taken away; the person's sessions have ended.",
        lambda: mfa_factors_reset(
            actor=here.actor, email=posted.get("email", ""), reason=posted.get("why", "")
        ),
    )


@action(Permission.IDENTITY_MFA_WRITE)
def exemption_end(request: HttpRequest, here: Here, exemption_id: UUID) -> HttpResponseBase:
    return _done(
        request,
        here,
        "exempt",
        "The exemption has ended.",
        lambda: mfa_exemption_end(actor=here.actor, exemption_id=exemption_id),
    )
