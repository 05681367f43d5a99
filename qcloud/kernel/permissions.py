"""Every permission there is, who has it by role, and the one question that is asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal, Self
from uuid import UUID

from qcloud.kernel.clock import now
from qcloud.kernel.errors import Denied, StepUpNeeded
from qcloud.kernel.scope import Scope, Tier


class Permission(StrEnum):
    """``room:resource:action``, sorted."""

    AUDIT_ACCESS_READ = "audit:access:read"
    AUDIT_LOG_READ = "audit:log:read"
    BILLING_BOOK_READ = "billing:book:read"
    BILLING_BOOK_WRITE = "billing:book:write"
    BILLING_INVOICE_READ = "billing:invoice:read"
    BILLING_MARGIN_READ = "billing:margin:read"
    BILLING_RUN_APPROVE = "billing:run:approve"
    BILLING_RUN_START = "billing:run:start"
    BILLING_USAGE_READ = "billing:usage:read"
    FLEET_AGENT_READ = "fleet:agent:read"
    FLEET_ENVIRONMENT_READ = "fleet:environment:read"
    FLEET_ENVIRONMENT_WRITE = "fleet:environment:write"
    FLEET_TOKEN_CREATE = "fleet:token:create"  # noqa: S105  the name of a right
    FLEET_TOKEN_READ = "fleet:token:read"  # noqa: S105
    FLEET_TOKEN_REVEAL = "fleet:token:reveal"  # noqa: S105
    FLEET_TOKEN_REVOKE = "fleet:token:revoke"  # noqa: S105
    IDENTITY_ACCOUNT_CLOSE = "identity:account:close"
    IDENTITY_ACCOUNT_CREATE = "identity:account:create"
    IDENTITY_ACCOUNT_EXPORT = "identity:account:export"
    IDENTITY_ACCOUNT_READ = "identity:account:read"
    IDENTITY_ACCOUNT_SUSPEND = "identity:account:suspend"
    IDENTITY_ACCOUNT_WRITE = "identity:account:write"
    IDENTITY_BRANDING_WRITE = "identity:branding:write"
    IDENTITY_DELEGATION_GRANT = "identity:delegation:grant"
    IDENTITY_DELEGATION_READ = "identity:delegation:read"
    IDENTITY_DELEGATION_START = "identity:delegation:start"
    IDENTITY_MFA_READ = "identity:mfa:read"
    IDENTITY_MFA_WRITE = "identity:mfa:write"
    IDENTITY_ROLE_READ = "identity:role:read"
    IDENTITY_ROLE_WRITE = "identity:role:write"
    IDENTITY_STAFF_READ = "identity:staff:read"
    IDENTITY_STAFF_WRITE = "identity:staff:write"
    NOTIFY_CHANNEL_READ = "notify:channel:read"
    NOTIFY_CHANNEL_WRITE = "notify:channel:write"
    NOTIFY_DELIVERY_READ = "notify:delivery:read"
    NOTIFY_DELIVERY_WRITE = "notify:delivery:write"
    PULSE_ALERT_READ = "pulse:alert:read"
    PULSE_ALERT_WRITE = "pulse:alert:write"
    PULSE_EXPORT_CREATE = "pulse:export:create"
    PULSE_HOLD_WRITE = "pulse:hold:write"
    PULSE_ISSUE_READ = "pulse:issue:read"
    PULSE_ISSUE_WRITE = "pulse:issue:write"
    PULSE_OBJECT_READ = "pulse:object:read"
    PULSE_OVERVIEW_READ = "pulse:overview:read"
    PULSE_REQUEST_READ = "pulse:request:read"
    PULSE_RETENTION_READ = "pulse:retention:read"
    PULSE_RETENTION_WRITE = "pulse:retention:write"
    PULSE_ROUTE_READ = "pulse:route:read"
    PULSE_ROUTE_WRITE = "pulse:route:write"
    PULSE_TRAFFIC_READ = "pulse:traffic:read"
    PULSE_USAGE_READ = "pulse:usage:read"
    PULSE_VENDOR_READ = "pulse:vendor:read"
    PULSE_VENDOR_WRITE = "pulse:vendor:write"
    QCLOUD_PLATFORM_READ = "qcloud:platform:read"
    QCLOUD_SETTINGS_READ = "qcloud:settings:read"
    QCLOUD_SETTINGS_WRITE = "qcloud:settings:write"
    VAULTSVC_KEY_READ = "vaultsvc:key:read"
    VAULTSVC_KEY_ROTATE = "vaultsvc:key:rotate"
    VAULTSVC_KEY_SHRED = "vaultsvc:key:shred"


class RoleName(StrEnum):
    """The built-in roles; accounts compose their own from the list."""

    OWNER = "owner"
    ADMIN = "admin"
    EDITOR = "editor"
    VIEWER = "viewer"
    BILLING = "billing"
    SUPPORT = "support"


P = Permission

TIER_PERMISSIONS: Final[dict[Tier, frozenset[Permission]]] = {
    Tier.CUSTOMER: frozenset(P)
    - {
        P.BILLING_BOOK_READ,
        P.BILLING_BOOK_WRITE,
        P.BILLING_MARGIN_READ,
        P.BILLING_RUN_APPROVE,
        P.BILLING_RUN_START,
        P.IDENTITY_ACCOUNT_CLOSE,
        P.IDENTITY_ACCOUNT_CREATE,
        P.IDENTITY_ACCOUNT_SUSPEND,
        P.IDENTITY_BRANDING_WRITE,
        P.IDENTITY_DELEGATION_START,
        P.IDENTITY_MFA_WRITE,
        P.QCLOUD_PLATFORM_READ,
        P.QCLOUD_SETTINGS_READ,
        P.QCLOUD_SETTINGS_WRITE,
        P.VAULTSVC_KEY_READ,
        P.VAULTSVC_KEY_ROTATE,
        P.VAULTSVC_KEY_SHRED,
    },
    Tier.RESELLER: frozenset(
        {
            P.AUDIT_ACCESS_READ,
            P.AUDIT_LOG_READ,
            P.BILLING_BOOK_READ,
            P.BILLING_BOOK_WRITE,
            P.BILLING_INVOICE_READ,
            P.BILLING_MARGIN_READ,
            P.BILLING_RUN_APPROVE,
            P.BILLING_RUN_START,
            P.BILLING_USAGE_READ,
            P.IDENTITY_ACCOUNT_CLOSE,
            P.IDENTITY_ACCOUNT_CREATE,
            P.IDENTITY_ACCOUNT_EXPORT,
            P.IDENTITY_ACCOUNT_READ,
            P.IDENTITY_ACCOUNT_SUSPEND,
            P.IDENTITY_ACCOUNT_WRITE,
            P.IDENTITY_BRANDING_WRITE,
            P.IDENTITY_DELEGATION_GRANT,
            P.IDENTITY_DELEGATION_READ,
            P.IDENTITY_DELEGATION_START,
            P.IDENTITY_MFA_READ,
            P.IDENTITY_ROLE_READ,
            P.IDENTITY_ROLE_WRITE,
            P.IDENTITY_STAFF_READ,
            P.IDENTITY_STAFF_WRITE,
            P.NOTIFY_CHANNEL_READ,
            P.NOTIFY_CHANNEL_WRITE,
            P.NOTIFY_DELIVERY_READ,
            P.NOTIFY_DELIVERY_WRITE,
            P.PULSE_ALERT_READ,
            P.PULSE_ALERT_WRITE,
            P.PULSE_USAGE_READ,
        }
    ),
    Tier.CLOUD: frozenset(
        {
            P.AUDIT_ACCESS_READ,
            P.AUDIT_LOG_READ,
            P.BILLING_BOOK_READ,
            P.BILLING_BOOK_WRITE,
            P.BILLING_INVOICE_READ,
            P.BILLING_MARGIN_READ,
            P.BILLING_RUN_APPROVE,
            P.BILLING_RUN_START,
            P.BILLING_USAGE_READ,
            P.IDENTITY_ACCOUNT_CLOSE,
            P.IDENTITY_ACCOUNT_CREATE,
            P.IDENTITY_ACCOUNT_READ,
            P.IDENTITY_ACCOUNT_SUSPEND,
            P.IDENTITY_ACCOUNT_WRITE,
            P.IDENTITY_BRANDING_WRITE,
            P.IDENTITY_DELEGATION_READ,
            P.IDENTITY_DELEGATION_START,
            P.IDENTITY_MFA_READ,
            P.IDENTITY_MFA_WRITE,
            P.IDENTITY_ROLE_READ,
            P.IDENTITY_ROLE_WRITE,
            P.IDENTITY_STAFF_READ,
            P.IDENTITY_STAFF_WRITE,
            P.NOTIFY_CHANNEL_READ,
            P.NOTIFY_CHANNEL_WRITE,
            P.NOTIFY_DELIVERY_READ,
            P.NOTIFY_DELIVERY_WRITE,
            P.PULSE_ALERT_READ,
            P.PULSE_ALERT_WRITE,
            P.PULSE_USAGE_READ,
            P.QCLOUD_PLATFORM_READ,
            P.QCLOUD_SETTINGS_READ,
            P.QCLOUD_SETTINGS_WRITE,
            P.VAULTSVC_KEY_READ,
            P.VAULTSVC_KEY_ROTATE,
            P.VAULTSVC_KEY_SHRED,
        }
    ),
}
"""What a tier's staff can hold at all. Traffic and payloads belong to the customer alone."""

_READS: Final = frozenset(p for p in P if p.endswith(":read"))
_MONEY: Final = frozenset(p for p in P if p.startswith("billing:")) | {P.PULSE_USAGE_READ}
_OWNERS_ALONE: Final = frozenset(
    {
        P.IDENTITY_ACCOUNT_CLOSE,
        P.IDENTITY_ACCOUNT_EXPORT,
        P.IDENTITY_ACCOUNT_SUSPEND,
        P.IDENTITY_DELEGATION_GRANT,
        P.IDENTITY_ROLE_WRITE,
        P.IDENTITY_STAFF_WRITE,
        P.PULSE_HOLD_WRITE,
        P.VAULTSVC_KEY_SHRED,
    }
)
_PAYLOADS: Final = frozenset({P.PULSE_OBJECT_READ})
_JOURNALS: Final = frozenset({P.AUDIT_LOG_READ, P.AUDIT_ACCESS_READ})

_ROLE_PERMISSIONS: Final[dict[RoleName, frozenset[Permission]]] = {
    RoleName.OWNER: frozenset(P),
    RoleName.ADMIN: frozenset(P) - _OWNERS_ALONE,
    RoleName.EDITOR: (_READS - _MONEY - _JOURNALS)
    | {
        P.FLEET_ENVIRONMENT_WRITE,
        P.NOTIFY_CHANNEL_WRITE,
        P.PULSE_ALERT_WRITE,
        P.PULSE_EXPORT_CREATE,
        P.PULSE_ISSUE_WRITE,
        P.PULSE_ROUTE_WRITE,
        P.PULSE_VENDOR_WRITE,
    },
    # Viewers “search and view captured objects”: payloads are the customer's own to look at.
    RoleName.VIEWER: _READS - _MONEY - _JOURNALS - {P.FLEET_TOKEN_READ},
    RoleName.BILLING: _MONEY | {P.IDENTITY_ACCOUNT_READ},
    RoleName.SUPPORT: (_READS - _MONEY - _PAYLOADS - {P.FLEET_TOKEN_READ})
    | {P.IDENTITY_DELEGATION_START},
}

ROLES: Final[dict[Tier, dict[RoleName, frozenset[Permission]]]] = {
    tier: {role: ceiling & granted for role, granted in _ROLE_PERMISSIONS.items()}
    for tier, ceiling in TIER_PERMISSIONS.items()
}


LIMITABLE: Final = frozenset(
    {
        P.BILLING_USAGE_READ,
        P.FLEET_AGENT_READ,
        P.FLEET_ENVIRONMENT_READ,
        P.FLEET_ENVIRONMENT_WRITE,
        P.FLEET_TOKEN_CREATE,
        P.FLEET_TOKEN_READ,
        P.FLEET_TOKEN_REVEAL,
        P.FLEET_TOKEN_REVOKE,
        P.IDENTITY_ACCOUNT_READ,
        P.PULSE_ALERT_READ,
        P.PULSE_ALERT_WRITE,
        P.PULSE_EXPORT_CREATE,
        P.PULSE_ISSUE_READ,
        P.PULSE_ISSUE_WRITE,
        P.PULSE_OBJECT_READ,
        P.PULSE_OVERVIEW_READ,
        P.PULSE_REQUEST_READ,
        P.PULSE_TRAFFIC_READ,
        P.PULSE_USAGE_READ,
        P.PULSE_VENDOR_READ,
        P.PULSE_VENDOR_WRITE,
    }
)
"""What is left of a role that is limited to environments: rights whose rows each belong to
one. Journals, invoices, staff and roles are the whole account's."""

NEVER_DELEGATED: Final = frozenset(
    {
        P.FLEET_TOKEN_REVEAL,
        P.IDENTITY_ACCOUNT_EXPORT,
        P.IDENTITY_DELEGATION_GRANT,
        P.IDENTITY_DELEGATION_START,
        P.IDENTITY_MFA_WRITE,
        P.IDENTITY_ROLE_WRITE,
        P.IDENTITY_STAFF_WRITE,
        P.PULSE_HOLD_WRITE,
        P.QCLOUD_SETTINGS_WRITE,
        P.VAULTSVC_KEY_ROTATE,
        P.VAULTSVC_KEY_SHRED,
    }
)
"""What no guest gets, whatever the customer granted: it would make the guest a resident."""


TAKES_OUT: Final = frozenset({P.IDENTITY_ACCOUNT_EXPORT, P.PULSE_EXPORT_CREATE})
"""They copy what the account has and change nothing of it: as reading, they go on while an
account is suspended or closing."""
GOES_ON: Final = TAKES_OUT | {P.PULSE_HOLD_WRITE}
"""What a suspended or closing account may still do. A hold changes none of its data, and while
one is in force the account cannot be erased: it must be possible to lift it."""


def delegated(
    home: frozenset[Permission], tier: Tier, granted: frozenset[Permission]
) -> frozenset[Permission]:
    """What a guest may do in an account of ``tier``: read what a viewer reads but payloads,
    read what its role at home reads as well, and what the account granted on top.
    """
    ceiling = TIER_PERMISSIONS[tier] - NEVER_DELEGATED
    reads = (ROLES[tier][RoleName.VIEWER] | (home & _READS)) - _PAYLOADS
    return ceiling & (reads | granted)


@dataclass(frozen=True, slots=True)
class Delegation:
    """“View as”: somebody of an account above works in this one, for a reason and a time."""

    id: UUID
    home: Scope
    """The account that the person works for."""
    home_slug: str
    home_name: str
    reason: str
    ticket: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, for which account, and with which rights."""

    kind: Literal["staff", "agent", "system"]
    id: UUID | None
    label: str
    """For the audit log: an e-mail address, an agent's name, a process."""
    scope: Scope | None
    """``None`` for the system itself."""
    permissions: frozenset[Permission]
    role: str = ""
    ip: str = ""
    request_id: str = ""
    suspended: bool = False
    """The account is suspended: reading goes on, writing is refused."""
    closing: bool = False
    """The account is on its way out: written to as little as a suspended one."""
    delegation: Delegation | None = None
    """Set when the person looks on as a guest; each audit row names both accounts."""
    proved_at: datetime | None = None
    """When the person last proved who it is, for actions that ask for it again."""

    @property
    def environments(self) -> frozenset[UUID] | None:
        """The environments that the person's role is limited to; ``None``: all there are."""
        return self.scope.environments if self.scope else None

    @classmethod
    def system(cls, label: str, scope: Scope | None = None) -> Self:
        """A task or command of the platform, acting for ``scope`` or for all."""
        return cls("system", None, label, scope, frozenset(Permission))

    def within(self, scope: Scope) -> Self:
        """The same actor working on an account below its own."""
        return replace(self, scope=scope)


def require(actor: Actor, permission: Permission) -> None:
    """Raises ``Denied`` with a sentence for the actor unless it holds ``permission``.

    Which rows the permission is used on is the tenant gate's question, not this one's.
    """
    if permission not in actor.permissions and actor.delegation is not None:
        raise Denied(
            f"You look at this account for {actor.delegation.home_name}. That does not include"
            f" “{permission.value}”: it is read-only, and without payloads, unless an owner of"
            " the account granted more.",
            code="kernel.delegated",
            permission=permission.value,
        )
    if permission not in actor.permissions:
        raise Denied(
            f"Your role{f' “{actor.role}”' if actor.role else ''} does not include"
            f" “{permission.value}”. An owner or administrator of the account can grant it.",
            code="kernel.permission_missing",
            permission=permission.value,
        )
    if permission.endswith(":read") or permission in GOES_ON:
        return
    if actor.closing:
        raise Denied(
            "The account is closing: everything can be read until it is gone, nothing changed.",
            code="kernel.account_closing",
            permission=permission.value,
        )
    if actor.suspended:
        raise Denied(
            "The account is suspended: everything can be read, nothing changed."
            " Whoever manages the account can resume it.",
            code="kernel.account_suspended",
            permission=permission.value,
        )


FRESH: Final = timedelta(minutes=5)
"""How long a proof of identity carries sensitive actions."""


def require_fresh(actor: Actor) -> None:
    """Raises ``StepUpNeeded`` unless the person proved who it is a short while ago.

    For sensitive actions (a secret shown again, a policy weakened, an account closed), after
    ``require``. The system itself has nothing to prove.
    """
    if actor.kind == "system":
        return
    # A proof from the future is none either: the clock was set back since.
    if actor.proved_at is None or abs(now() - actor.proved_at) > FRESH:
        raise StepUpNeeded


def require_whole_account(actor: Actor, what: str) -> None:
    """Raises ``Denied`` for somebody who is limited to environments; ``what`` is done by the
    others: “create environments”.
    """
    if actor.environments is not None:
        raise Denied(
            f"Your role is limited to some environments, so you cannot {what}."
            " Somebody with a role in the whole account can.",
            code="kernel.environments_limited",
        )


def missing(actor: Actor, wanted: Iterable[Permission]) -> frozenset[Permission]:
    """Those of ``wanted`` that the actor lacks and therefore cannot grant."""
    return frozenset(wanted) - actor.permissions
