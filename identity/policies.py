"""The settings of this room: sessions, passwords, second factors, limits."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from qcloud.kernel import erasure
from qcloud.kernel.scope import Tier
from qcloud.kernel.settings import Candidate, Group, Setting, duration, flag, integer, limit, text

_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_PORTAL_OF: Final = {
    Tier.CLOUD: "Cloud administration",
    Tier.RESELLER: "Reseller portals",
    Tier.CUSTOMER: "Customer portals",
}


def _idle_within_absolute(candidate: Candidate) -> dict[str, str]:
    return {
        SESSION_IDLE[tier].key: "Longer than the session may last at all: it would never count."
        for tier in Tier
        if candidate(SESSION_IDLE[tier]) > candidate(SESSION_ABSOLUTE[tier])
    }


SESSIONS: Final = Group(
    "sessions",
    "Sessions",
    "How long somebody who signed in stays signed in. Open sessions follow at their next request.",
    10,
    _idle_within_absolute,
)
SESSION_IDLE: Final[dict[Tier, Setting[timedelta]]] = {
    tier: duration(
        f"identity.session.idle_{tier}",
        f"{_PORTAL_OF[tier]}: idle for at most",
        about="Without a request for this long, a session ends.",
        group=SESSIONS,
        default=15 * _MINUTE if tier is Tier.CLOUD else _HOUR,
        low=_MINUTE,
        high=30 * _DAY,
        sensitive=True,
    )
    for tier in Tier
}
SESSION_ABSOLUTE: Final[dict[Tier, Setting[timedelta]]] = {
    tier: duration(
        f"identity.session.absolute_{tier}",
        f"{_PORTAL_OF[tier]}: at most in all",
        about="After this long, a session ends however busy it is.",
        group=SESSIONS,
        default=12 * _HOUR if tier is Tier.CLOUD else 24 * _HOUR,
        low=5 * _MINUTE,
        high=90 * _DAY,
        sensitive=True,
    )
    for tier in Tier
}

PASSWORDS: Final = Group(
    "passwords",
    "Passwords",
    "What a new password must be like. Passwords that people have already stay as they are.",
    20,
)
PASSWORD_LENGTH: Final = integer(
    "identity.password.length",
    "Shortest password",
    about="Length protects more than mixed characters do.",
    group=PASSWORDS,
    default=12,
    low=8,
    high=128,
    unit="characters",
    sensitive=True,
)
PASSWORD_COMMON: Final = flag(
    "identity.password.refuse_common",
    "Refuse common passwords",
    about="The twenty thousand that are tried first.",
    group=PASSWORDS,
    default=True,
    sensitive=True,
)
PASSWORD_PERSONAL: Final = flag(
    "identity.password.refuse_personal",
    "Refuse the person's own name and address",
    about="A password that resembles either.",
    group=PASSWORDS,
    default=True,
    sensitive=True,
)

GUARDS: Final = Group(
    "guards",
    "Guessing",
    "When sign-in slows down and when a name is locked. Browsers that a person used before have"
    " counts of their own, so that guessing elsewhere locks nobody out of them.",
    25,
)
GUARD_NAME: Final = integer(
    "identity.guard.name",
    "Failures on one name",
    about="In five minutes, from wherever they come; then it has to wait.",
    group=GUARDS,
    default=10,
    low=3,
    high=1_000,
    unit="failures",
    sensitive=True,
)
GUARD_ADDRESS: Final = integer(
    "identity.guard.address",
    "Attempts from one address",
    about="In five minutes, right or wrong: many people may share it. In IPv6, from one /64.",
    group=GUARDS,
    default=100,
    low=10,
    high=100_000,
    unit="attempts",
    sensitive=True,
)
GUARD_LOCK_AFTER: Final = integer(
    "identity.guard.lock_after",
    "Failures that lock a name",
    about="Within a day, without a success between them. Its owner is told by mail.",
    group=GUARDS,
    default=20,
    low=5,
    high=1_000,
    unit="failures",
    sensitive=True,
)
GUARD_LOCK_FOR: Final = duration(
    "identity.guard.lock_for",
    "How long a name is locked",
    about="Staff administrators of its account can unlock it before.",
    group=GUARDS,
    default=30 * _MINUTE,
    low=_MINUTE,
    high=7 * _DAY,
    sensitive=True,
)

MFA: Final = Group(
    "mfa",
    "Second factors",
    "How second factors are set up. Who needs one is decided by the policies under Security.",
    30,
)
MFA_ISSUER: Final = text(
    "identity.mfa.issuer",
    "Name in authenticator apps",
    about="Stands above the six digits on people's telephones.",
    group=MFA,
    default="QCloud",
    most=40,
)
MFA_RECOVERY_CODES: Final = integer(
    "identity.mfa.recovery_codes",
    "Recovery codes",
    about="How many single-use codes a person gets for the day the telephone is gone.",
    group=MFA,
    default=10,
    low=4,
    high=20,
    unit="codes",
)

DELEGATION: Final = Group(
    "delegation",
    "Delegated access",
    "How long somebody of an account above may look into one below. Running access is not"
    " shortened.",
    40,
)
DELEGATION_LONGEST: Final = duration(
    "identity.delegation.longest",
    "At most, at a time",
    about="Whoever needs longer asks again, with a reason.",
    group=DELEGATION,
    default=30 * _MINUTE,
    low=_MINUTE,
    high=8 * _HOUR,
    sensitive=True,
)

ACCOUNTS: Final = Group(
    "accounts",
    "Accounts",
    "How accounts come and go.",
    55,
)
CLOSING_GRACE: Final = duration(
    "identity.closing.grace",
    "Grace period of a closed account",
    about="So long it can be read, exported and opened again; then everything is erased.",
    group=ACCOUNTS,
    default=30 * _DAY,
    low=_DAY,
    high=365 * _DAY,
    sensitive=True,
)

LIMITS: Final = Group(
    "limits",
    "Limits",
    "What a customer may have where those above it set no quota. Empty is no limit.",
    60,
)
LIMIT_ACCOUNTS: Final = limit(
    "identity.limit.accounts",
    "Customers of a reseller",
    about="Accounts below one reseller that has no quota of its own.",
    group=LIMITS,
    default=None,
    high=1_000_000,
    unit="accounts",
)
LIMIT_PLATFORM: Final = limit(
    "identity.limit.platform_accounts",
    "Accounts on the platform",
    about="Resellers and customers together, whatever quotas allow. Erased ones do not count.",
    group=LIMITS,
    default=None,
    high=10_000_000,
    unit="accounts",
)
LIMIT_ENVIRONMENTS: Final = limit(
    "identity.limit.environments",
    "Environments",
    about="Of one customer. A reseller's quota is set on the reseller, and shared below it.",
    group=LIMITS,
    default=None,
    high=1_000_000,
    unit="environments",
)
LIMIT_AGENTS: Final = limit(
    "identity.limit.agents",
    "Agents",
    about="Of one customer. A reseller's quota is set on the reseller, and shared below it.",
    group=LIMITS,
    default=None,
    high=10_000_000,
    unit="agents",
)
LIMIT_STAFF: Final = limit(
    "identity.limit.staff",
    "Staff",
    about="People of one customer. A reseller's quota is set on the reseller.",
    group=LIMITS,
    default=None,
    high=10_000_000,
    unit="people",
)
LIMIT_EVENTS: Final = limit(
    "identity.limit.events",
    "Events a day",
    about="Of one customer, by UTC days. A reseller's quota is set on the reseller.",
    group=LIMITS,
    default=None,
    high=1_000_000_000_000,
    unit="events",
)

erasure.step("identity", order=90)
erasure.keep("identity_account", "its name, for invoices and journals that go on naming it")
erasure.keep("identity_erasurestep", "the proof that every room forgot it")
erasure.keep("identity_accessevent", "the access log, removed when its own retention is over")
