"""Who needs a second factor. The policy is ours, whatever engine checks the factors.

Any rule that requires one is enough: the strictest wins, and the only way out is an exemption
with a reason and an end. A rule that stands for the same subject as the default replaces it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import QuerySet

from identity.limits import PORTALS
from identity.models import (
    Account,
    Membership,
    MfaExemption,
    MfaGroup,
    MfaGroupMember,
    MfaRule,
    RecoveryDevice,
    Subject,
    TotpDevice,
    User,
)
from qcloud.kernel.clock import now
from qcloud.kernel.scope import Tier, unscoped

ALWAYS: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Rule:
    subject: str
    value: str
    required: bool
    grace: timedelta
    since: datetime
    made_by: str = ""
    """Empty: it comes with the product."""
    id: UUID | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.subject, self.value

    def is_for(self, tier: Tier | None) -> bool:
        """Whether it could concern anybody of the tier; ``None``: of any."""
        return tier is None or self.subject != Subject.TIER or self.value == tier.value


DEFAULTS: Final = (Rule("tier", Tier.CLOUD.value, True, timedelta(0), ALWAYS),)
"""Who can do everything shows more than a password."""


@dataclass(frozen=True)
class Job:
    """That a person works for an account, as rules see it."""

    user_id: UUID
    account_id: UUID
    tier: Tier
    role: str
    since: datetime


@dataclass(frozen=True)
class Exemption:
    id: UUID
    user_id: UUID | None
    account_id: UUID | None
    reason: str
    ends_at: datetime
    made_at: datetime
    made_by: str

    def covers(self, job: Job) -> bool:
        return job.user_id == self.user_id or job.account_id == self.account_id


@dataclass(frozen=True)
class Demand:
    """What the rules want of a person."""

    rule: Rule | None = None
    """The one that counts; ``None``: nothing is required."""
    due_at: datetime | None = None
    """From when on nothing but the set-up opens."""
    exemption: Exemption | None = None
    """Keeps the rule away until it ends."""
    exempt_until: datetime | None = None
    """When the first exemption ends that keeps a rule from one of the person's jobs: from then on
    the demand may be another one, though nothing was written.
    """

    @property
    def is_required(self) -> bool:
        return self.rule is not None and self.exemption is None

    @property
    def due(self) -> datetime | None:
        """From when on nothing but the set-up opens, unless nothing is wanted."""
        return self.due_at if self.is_required else None

    def is_due(self, moment: datetime) -> bool:
        return self.is_required and self.due_at is not None and moment >= self.due_at


@dataclass(frozen=True)
class Policy:
    """Everything that decides, read at once."""

    rules: tuple[Rule, ...]
    exemptions: tuple[Exemption, ...]
    groups: Mapping[str, Collection[UUID]]
    """By a group's id: its people."""

    def demand(self, jobs: Iterable[Job]) -> Demand:
        """What is wanted of a person with these jobs: what is due first."""
        demands = [d for job in jobs if (d := self._of(job)).rule is not None]
        demands.sort(key=lambda d: (d.exemption is not None, d.due_at or ALWAYS))
        ends = [d.exemption.ends_at for d in demands if d.exemption is not None]
        first = next(iter(demands), Demand())
        return replace(first, exempt_until=min(ends, default=None))

    def _of(self, job: Job) -> Demand:
        due = [
            (max(rule.since, job.since) + rule.grace, rule)
            for rule in self.rules
            if rule.required and self._meets(rule, job)
        ]
        if not due:
            return Demand()
        when, rule = min(due, key=lambda pair: pair[0])
        exemption = next((e for e in self.exemptions if e.covers(job)), None)
        return Demand(rule, when, exemption)

    def _meets(self, rule: Rule, job: Job) -> bool:
        tests: dict[str, Callable[[], bool]] = {
            Subject.ALL: lambda: True,
            Subject.TIER: lambda: job.tier.value == rule.value,
            Subject.ACCOUNT: lambda: str(job.account_id) == rule.value,
            Subject.GROUP: lambda: job.user_id in self.groups.get(rule.value, ()),
            Subject.ROLE: lambda: job.role == rule.value,
        }
        return tests[rule.subject]()


def policy() -> Policy:
    """The rules, exemptions and groups of now. In system mode."""
    with unscoped("MFA policy: it stands above all accounts"):
        return _policy(_rules())


def _rules() -> tuple[Rule, ...]:
    stored = [rule_of(row) for row in MfaRule.objects.order_by("subject", "value")]
    taken = {rule.key for rule in stored}
    return (*(rule for rule in DEFAULTS if rule.key not in taken), *stored)


def _policy(rules: tuple[Rule, ...]) -> Policy:
    exempt = list(MfaExemption.objects.filter(ends_at__gt=now()).order_by("ends_at"))
    groups: dict[str, set[UUID]] = {}
    for group_id, user_id in MfaGroupMember.objects.values_list("group_id", "user_id"):
        groups.setdefault(str(group_id), set()).add(user_id)
    return Policy(rules, tuple(map(exemption_of, exempt)), groups)


def demand_of(user_id: UUID, portal: str = "") -> Demand:
    """What is wanted of the person in that portal; empty: in all. One query where no rule could
    concern anybody there.
    """
    tier = PORTALS.get(portal)
    with unscoped("MFA policy: it stands above all accounts", savepoint=False):
        rules = _rules()
        if not any(rule.required and rule.is_for(tier) for rule in rules):
            return Demand()
        mine = list(Membership.objects.select_related("custom_role").filter(user_id=user_id))
        tiers = _tiers(Account.objects.filter(id__in=[row.account_id for row in mine]))
        held = [job for job in jobs(mine, tiers) if tier is None or job.tier is tier]
        return _policy(rules).demand(held)


def jobs(rows: Iterable[Membership], tiers: Mapping[UUID, Tier]) -> Iterator[Job]:
    """``tiers`` of at least the rows' accounts."""
    for row in rows:
        yield Job(
            row.user_id, row.account_id, tiers[row.account_id], row.role_label, row.created_at
        )


def _tiers(accounts: QuerySet[Account]) -> dict[UUID, Tier]:
    return {row_id: Tier(tier) for row_id, tier in accounts.values_list("id", "tier")}


def exemption_for(email: str) -> Exemption | None:
    """The person's own, if one holds now."""
    with unscoped("MFA policy: it stands above all accounts"):
        mine = MfaExemption.objects.filter(user__email=email, ends_at__gt=now())
        row = mine.order_by("-ends_at").first()
    return exemption_of(row) if row else None


@dataclass(frozen=True)
class Affected:
    """A person whom a policy wants a second factor of, or has excused."""

    user_id: UUID
    email: str
    name: str
    accounts: str
    state: str
    """``ready``, ``must set up``, ``in grace``, ``exempt``."""
    due_at: datetime | None
    is_new: bool
    """Nothing is required of the person by the policy in force."""

    @property
    def id(self) -> UUID:
        return self.user_id


def affected(present: Policy, draft: Policy) -> list[Affected]:
    """Everybody whom ``draft`` is about, by name: those it newly meets first."""
    moment = now()
    with unscoped("MFA policy: it stands above all accounts"):
        people: dict[UUID, list[Job]] = {}
        everybody = Membership.objects.select_related("custom_role").filter(user__is_active=True)
        for job in jobs(everybody.iterator(2_000), _tiers(Account.objects.all())):
            people.setdefault(job.user_id, []).append(job)
        wanted = {user_id: d for user_id, own in people.items() if (d := draft.demand(own)).rule}
        users = {u.id: u for u in User.objects.filter(id__in=wanted)}
        ready = _ready()
        slugs = dict(Account.objects.values_list("id", "slug"))
    found = [
        Affected(
            user_id,
            users[user_id].email,
            users[user_id].name,
            ", ".join(sorted(slugs[job.account_id] for job in people[user_id])),
            _state(demand, ready=user_id in ready, moment=moment),
            demand.due_at,
            not present.demand(people[user_id]).is_required and demand.is_required,
        )
        for user_id, demand in wanted.items()
    ]
    return sorted(found, key=lambda a: (not a.is_new, a.name.casefold(), a.email))


def _ready() -> set[UUID]:
    totp = set(TotpDevice.objects.filter(confirmed=True).values_list("user_id", flat=True))
    return totp & set(
        RecoveryDevice.objects.filter(confirmed=True).values_list("user_id", flat=True)
    )


def _state(demand: Demand, *, ready: bool, moment: datetime) -> str:
    if ready:
        return "ready"
    if demand.exemption:
        return "exempt"
    return "must set up" if demand.is_due(moment) else "in grace"


def group_names() -> dict[str, str]:
    """Names by id, in order."""
    with unscoped("MFA policy: it stands above all accounts"):
        rows = list(MfaGroup.objects.order_by("name").values_list("id", "name"))
    return {str(group_id): name for group_id, name in rows}


def rule_of(row: MfaRule) -> Rule:
    return Rule(
        row.subject,
        row.value,
        row.required,
        timedelta(days=row.grace_days),
        row.since,
        row.made_by,
        row.id,
    )


def exemption_of(row: MfaExemption) -> Exemption:
    return Exemption(
        row.id,
        row.user_id,
        row.exempt_account_id,
        row.reason,
        row.ends_at,
        row.made_at,
        row.made_by,
    )
