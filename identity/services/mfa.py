"""Who needs a second factor: the cloud administrator's rules, groups and exemptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from audit.services import record
from identity import notices
from identity.access import Visitor, clean
from identity.mfa import Exemption, Policy, Rule, exemption_of, policy, rule_of
from identity.models import (
    Account,
    MfaExemption,
    MfaGroup,
    MfaGroupMember,
    MfaRule,
    Subject,
    User,
)
from identity.otp import engine
from identity.services.passwords import sessions_end
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Invalid, NotFound
from qcloud.kernel.permissions import Actor, Permission, require, require_fresh
from qcloud.kernel.scope import Tier, unscoped

LONGEST_GRACE: Final = 90
LONGEST_EXEMPTION: Final = timedelta(days=366)


def mfa_rule_draft(subject: str, value: str, *, required: bool, grace_days: int) -> Rule:
    """The rule as it would be from now on, for a preview. Raises ``Invalid``."""
    if subject not in Subject.values:
        raise Invalid("Choose whom the rule is about.", fields={"subject": "Choose one."})
    if not 0 <= grace_days <= LONGEST_GRACE:
        raise Invalid(
            "The grace period cannot be used.",
            fields={"grace_days": f"Between 0 and {LONGEST_GRACE} days."},
        )
    known = _checked_value(subject, clean(value.strip(), 64))
    return Rule(subject, known, required, timedelta(days=grace_days), now())


def mfa_policy_with(draft: Rule) -> Policy:
    """The policy of now with the rule in place of what it says about the same subject."""
    present = policy()
    others = tuple(rule for rule in present.rules if rule.key != draft.key)
    return replace(present, rules=(*others, draft))


def mfa_rule_set(
    *, actor: Actor, subject: str, value: str, required: bool, grace_days: int
) -> Rule:
    """Require a second factor of somebody, or say that this subject does not need one.

    Raises ``Denied``, ``StepUpNeeded``, ``Invalid``.
    """
    require(actor, Permission.IDENTITY_MFA_WRITE)
    require_fresh(actor)
    draft = mfa_rule_draft(subject, value, required=required, grace_days=grace_days)
    with unscoped("MFA policy: it stands above all accounts"):
        row = MfaRule.objects.filter(subject=draft.subject, value=draft.value).first()
        row = row or MfaRule(subject=draft.subject, value=draft.value)
        before = {"required": row.required, "grace_days": row.grace_days} if row.made_by else {}
        if not (row.made_by and row.required and required):
            row.since = draft.since  # a rule that goes on keeps the day from which grace counts
        row.required, row.grace_days, row.made_by = required, grace_days, actor.label
        row.save()
        after = {"required": required, "grace_days": grace_days}
        _note(
            actor, "rule_set", row.id, subject=subject, of=draft.value, before=before, after=after
        )
        return rule_of(row)


def mfa_rule_remove(*, actor: Actor, rule_id: UUID) -> None:
    """Take a rule away; the default for its subject holds again. Raises ``Denied``,
    ``StepUpNeeded``, ``NotFound``.
    """
    require(actor, Permission.IDENTITY_MFA_WRITE)
    require_fresh(actor)
    with unscoped("MFA policy: it stands above all accounts"):
        row = MfaRule.objects.filter(id=rule_id).first()
        if row is None:
            raise NotFound("There is no such rule (any more).")
        _note(actor, "rule_remove", row.id, subject=row.subject, of=row.value)
        row.delete()


def mfa_exempt(*, actor: Actor, whom: str, reason: str, ends_at: datetime) -> Exemption:
    """Excuse a person (``whom``: an e-mail address) or an account's staff (its short name) for
    a while. Raises ``Denied``, ``StepUpNeeded``, ``Invalid``.
    """
    require(actor, Permission.IDENTITY_MFA_WRITE)
    require_fresh(actor)
    words = clean(reason.strip(), 200)
    if len(words) < 10:
        raise Invalid("Say why.", fields={"reason": "At least ten characters: auditors read it."})
    if not now() < ends_at <= now() + LONGEST_EXEMPTION:
        raise Invalid("The end cannot be used.", fields={"ends_at": "Within the next year."})
    with unscoped("MFA policy: it stands above all accounts"):
        name = clean(whom.strip().lower(), 254)
        user = User.objects.filter(email=name).first()
        account = None if user else Account.objects.filter(slug=name).first()
        if user is None and account is None:
            raise Invalid(
                "There is no such person or account.",
                fields={"whom": "An e-mail address, or an account's short name."},
            )
        row = MfaExemption.objects.create(
            user=user,
            exempt_account_id=account.id if account else None,
            reason=words,
            ends_at=ends_at,
            made_by=actor.label,
        )
        _note(actor, "exempt", row.id, whom=name, why=words, until=ends_at.isoformat())
        return exemption_of(row)


def mfa_exemption_end(*, actor: Actor, exemption_id: UUID) -> None:
    """End an exemption now. Raises ``Denied``, ``StepUpNeeded``, ``NotFound``."""
    require(actor, Permission.IDENTITY_MFA_WRITE)
    require_fresh(actor)
    with unscoped("MFA policy: it stands above all accounts"):
        row = MfaExemption.objects.filter(id=exemption_id, ends_at__gt=now()).first()
        if row is None:
            raise NotFound("There is no such exemption (any more).")
        row.ends_at = now()
        row.save(update_fields=["ends_at"])
        _note(actor, "exemption_end", row.id, why=row.reason)


def mfa_factors_reset(*, actor: Actor, email: str, reason: str) -> None:
    """Take a person's app and codes away and end its sessions, when the telephone is lost and
    no recovery code is left. The person sets up anew at its next sign-in, where one is required.

    Raises ``Denied``, ``StepUpNeeded``, ``Invalid``.
    """
    require(actor, Permission.IDENTITY_MFA_WRITE)
    require_fresh(actor)
    words, name = clean(reason.strip(), 200), clean(email.strip().lower(), 254)
    if len(words) < 10:
        raise Invalid("Say why.", fields={"reason": "At least ten characters: auditors read it."})
    with unscoped("MFA policy: it stands above all accounts"):
        user = User.objects.filter(email=name).first()
        if user is None:
            raise Invalid("Nobody has this address.", fields={"email": "An e-mail address."})
        engine().remove(user.id)
        visitor = Visitor(actor.ip, "", actor.request_id)
        sessions_end(user, "the second factor was reset", visitor)
        # Not from where: that is the administrator's address, not the reader's affair.
        notices.changed(
            user,
            replace(visitor, ip=""),
            "Your second factor was taken away",
            "An administrator of the platform took app and codes away",
        )
        _note(actor, "factors_reset", user.id, whom=name, why=words)


def mfa_group_set(*, actor: Actor, name: str, emails: str) -> UUID:
    """Make a group of people, or name its people anew; an empty list takes it away.

    Raises ``Denied``, ``StepUpNeeded``, ``Invalid`` for an address that nobody has.
    """
    require(actor, Permission.IDENTITY_MFA_WRITE)
    require_fresh(actor)
    words = clean(name.strip(), 60)
    if not words.isprintable() or not words:
        raise Invalid("Give the group a name.", fields={"name": "Between 1 and 60 characters."})
    wanted = sorted({clean(e.strip().lower(), 254) for e in emails.replace(",", "\n").split()})
    with unscoped("MFA policy: it stands above all accounts"):
        users = {user.email: user for user in User.objects.filter(email__in=wanted)}
        unknown = [email for email in wanted if email not in users]
        if unknown:
            raise Invalid("Nobody has this address.", fields={"emails": ", ".join(unknown)[:200]})
        group = MfaGroup.objects.get_or_create(name=words)[0]
        MfaGroupMember.objects.filter(group=group).delete()
        MfaGroupMember.objects.bulk_create(
            MfaGroupMember(group=group, user=user) for user in users.values()
        )
        _note(actor, "group_set", group.id, name=words, people=len(users))
        group_id: UUID = group.id
        if not users:
            MfaRule.objects.filter(subject=Subject.GROUP, value=str(group_id)).delete()
            group.delete()
    return group_id


def _checked_value(subject: str, value: str) -> str:
    """As it is stored. Raises ``Invalid`` for what does not exist."""
    if subject == Subject.ALL:
        return ""
    if subject == Subject.TIER and value in {tier.value for tier in Tier}:
        return value
    if subject == Subject.ROLE and value:
        return value
    with unscoped("MFA policy: it stands above all accounts"):
        row: Any = None
        if subject == Subject.ACCOUNT:
            row = Account.objects.filter(slug=value).first() or _by_id(Account, value)
        elif subject == Subject.GROUP:
            row = MfaGroup.objects.filter(name=value).first() or _by_id(MfaGroup, value)
    if row is None:
        raise Invalid(
            "There is nothing of this name.", fields={"value": "A tier, account, group or role."}
        )
    return str(row.id)


def _by_id(model: Any, text: str) -> Any:
    try:
        return model.objects.filter(id=UUID(text)).first()
    except ValueError:
        return None


def _note(actor: Actor, action: str, object_id: object, **data: Any) -> None:
    known: Mapping[str, Any] = data
    record(
        actor=actor,
        action=f"identity.mfa.{action}",
        object_kind="mfa_policy",
        object_id=object_id,
        data=known,
    )
