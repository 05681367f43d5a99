"""Every address × everybody: the table is the specification."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from audit.selectors import EntryFilter, entries
from portal.door import PERSONAL, PUBLIC
from portal.sessions import PORTALS
from qcloud.kernel.permissions import Permission
from tests.factories.cast import Person
from tests.portal.conftest import sign_in
from tests.portal.world import World

NOBODY: Final = UUID(int=1)
ROLES: Final = (
    "anonymous",
    "cloud",
    "reseller",
    "other reseller",
    "owner",
    "viewer",
    "other customer",
)

# Statuses in the order of ROLES. 302: on to sign-in; 404: a stranger; 403: without the right.
OWN = (302, 404, 404, 404, 200, 200, 404)
NOT_VIEWER = (302, 404, 404, 404, 200, 403, 404)
MISSING = (302, 404, 404, 404, 404, 404, 404)
MISSING_NOT_VIEWER = (302, 404, 404, 404, 404, 403, 404)
RESELLER = (302, 404, 200, 404, 404, 404, 404)
RESELLER_MISSING = (302, 404, 404, 404, 404, 404, 404)
CLOUD = (302, 200, 404, 404, 404, 404, 404)
CLOUD_MISSING = (302, 404, 404, 404, 404, 404, 404)
POST_ONLY = (405,) * 7
ANYBODY = (200,) * 7
SIGNED_IN = (302, 200, 200, 200, 200, 200, 200)

PUBLIC_GET: Final = {
    "home": (302,) * 7,
    "sign-in": ANYBODY,
    "accounts": (302, 200, 200, 200, 200, 200, 200),
    "preferences": POST_ONLY,
    "healthz": ANYBODY,
    # Colours and pictures that nobody set.
    "brand-style": (404,) * 7,
    "brand-logo": (404,) * 7,
    "c:sign-in": ANYBODY,
    "r:sign-in": ANYBODY,
    "admin:sign-in": ANYBODY,
    # Of no token that ever was.
    "c:invitation": (404,) * 7,
    "r:invitation": (404,) * 7,
    "admin:invitation": (404,) * 7,
    **{f"{portal}:continue": POST_ONLY for portal in PORTALS},
    **{f"{portal}:password-forgotten": ANYBODY for portal in PORTALS},
    # Of no link that ever was.
    **{f"{portal}:password-new": (410,) * 7 for portal in PORTALS},
    **{f"{portal}:code": (302,) * 7 for portal in PORTALS},
    **{f"{portal}:set-up": SIGNED_IN for portal in PORTALS},
    **{f"{portal}:confirm": SIGNED_IN for portal in PORTALS},
    "c:sign-out": POST_ONLY,
    "r:sign-out": POST_ONLY,
    "admin:sign-out": POST_ONLY,
}
GET: dict[str, tuple[int, int, int, int, int, int, int]] = {
    **PUBLIC_GET,
    "c:overview": OWN,
    "c:start": OWN,
    "c:live": OWN,
    "c:requests": OWN,
    "c:request": OWN,
    "c:objects": OWN,
    # Of a text that is no digest: refused with the reason.
    "c:object-open": (302, 404, 404, 404, 422, 422, 404),
    "c:paths": OWN,
    "c:path-host": MISSING,
    "c:path-template": POST_ONLY,
    "c:dns": OWN,
    "c:vendors": OWN,
    "c:vendor": OWN,
    "c:vendor-callers": OWN,
    "c:vendor-paths": OWN,
    "c:vendor-review": POST_ONLY,
    "c:environments": OWN,
    "c:environment": OWN,
    "c:token-create": POST_ONLY,
    "c:token-reveal": POST_ONLY,
    "c:token-revoke": POST_ONLY,
    "c:capture-set": POST_ONLY,
    "c:dns-audit-set": POST_ONLY,
    "c:certificates-set": POST_ONLY,
    "c:store-set": POST_ONLY,
    "c:store-s3-set": POST_ONLY,
    "c:agents": OWN,
    "c:agent": OWN,
    "c:agent-remove": POST_ONLY,
    "c:search": OWN,
    "c:usage": NOT_VIEWER,
    "c:invoices": NOT_VIEWER,
    "c:invoice": NOT_VIEWER,
    "c:invoice-usage": NOT_VIEWER,
    "c:invoice-pdf": NOT_VIEWER,
    "c:own-account": OWN,
    "c:takeout": NOT_VIEWER,
    "c:takeout-file": (302, 404, 404, 404, 404, 403, 404),
    "c:takeout-remove": POST_ONLY,
    "r:takeout": RESELLER,
    "r:takeout-file": (302, 404, 404, 404, 404, 404, 404),
    "r:takeout-remove": POST_ONLY,
    "c:own-networks": POST_ONLY,
    "c:own-profile": POST_ONLY,
    "c:audit": NOT_VIEWER,
    "c:issues": OWN,
    "c:issue": MISSING,
    "c:issue-change": POST_ONLY,
    "c:alerts": OWN,
    "c:incident": MISSING,
    "c:incident-acknowledge": POST_ONLY,
    "c:alert-rules": OWN,
    "c:alert-rule-create": NOT_VIEWER,
    "c:alert-rule": MISSING,
    "c:alert-rule-switch": POST_ONLY,
    "c:alert-rule-remove": POST_ONLY,
    "c:alert-channels": OWN,
    "c:alert-channel": MISSING,
    "c:alert-silences": OWN,
    "c:silence-end": POST_ONLY,
    "c:exports": NOT_VIEWER,
    "c:export-file": MISSING_NOT_VIEWER,
    "c:export-remove": POST_ONLY,
    "c:retention": OWN,
    # Without days to preview: the form again.
    "c:retention-preview": (302, 404, 404, 404, 422, 403, 404),
    "c:retention-undo": POST_ONLY,
    "c:retention-holds": OWN,
    "c:retention-hold": POST_ONLY,
    "c:retention-runs": OWN,
    "c:deliveries": OWN,
    "r:deliveries": RESELLER,
    "admin:deliveries": CLOUD,
    "c:delivery": MISSING,
    "r:delivery": RESELLER_MISSING,
    "admin:delivery": CLOUD_MISSING,
    **{f"{portal}:delivery-again": POST_ONLY for portal in PORTALS},
    "c:staff": OWN,
    "c:person": OWN,
    "c:roles": OWN,
    "c:delegated": OWN,
    "c:invited": MISSING,
    "c:role": MISSING,
    "c:delegated-look": MISSING,
    "c:person-remove": POST_ONLY,
    "c:invitation-resend": POST_ONLY,
    "c:invitation-revoke": POST_ONLY,
    "c:role-delete": POST_ONLY,
    "c:grant-create": POST_ONLY,
    "c:grant-revoke": POST_ONLY,
    "c:delegated-end": POST_ONLY,
    "r:overview": RESELLER,
    "r:customers": RESELLER,
    "r:account": RESELLER,
    "r:account-close": POST_ONLY,
    "r:account-lifecycle": RESELLER,
    "r:account-networks": RESELLER,
    "r:account-quotas": RESELLER,
    "r:account-suspend": POST_ONLY,
    "r:account-withdraw": POST_ONLY,
    "r:account-resume": POST_ONLY,
    "r:books": RESELLER,
    "r:book": RESELLER,
    "r:search": RESELLER,
    "r:usage": RESELLER,
    "r:invoices": RESELLER,
    "r:invoice": RESELLER,
    "r:invoice-usage": RESELLER,
    "r:invoice-pdf": RESELLER,
    "r:branding": RESELLER,
    "r:branding-logo": POST_ONLY,
    "r:branding-logo-remove": POST_ONLY,
    "r:branding-preview": RESELLER_MISSING,
    "r:branding-reset": POST_ONLY,
    "r:own-account": RESELLER,
    "r:own-networks": POST_ONLY,
    "r:own-profile": POST_ONLY,
    "r:audit": RESELLER,
    "r:account-view": RESELLER,
    "r:staff": RESELLER,
    "r:person": RESELLER,
    "r:roles": RESELLER,
    "r:delegated": RESELLER,
    "r:invited": RESELLER_MISSING,
    "r:role": RESELLER_MISSING,
    "r:delegated-look": RESELLER_MISSING,
    "r:person-remove": POST_ONLY,
    "r:invitation-resend": POST_ONLY,
    "r:invitation-revoke": POST_ONLY,
    "r:role-delete": POST_ONLY,
    "r:grant-create": POST_ONLY,
    "r:grant-revoke": POST_ONLY,
    "r:delegated-end": POST_ONLY,
    "admin:overview": CLOUD,
    "admin:health": CLOUD,
    "admin:asides": CLOUD,
    "admin:aside-decide": POST_ONLY,
    "admin:keys": CLOUD,
    "admin:keys-rotate": POST_ONLY,
    "admin:accounts": CLOUD,
    "admin:account": CLOUD,
    "admin:account-close": POST_ONLY,
    "admin:account-lifecycle": CLOUD,
    "admin:account-networks": CLOUD,
    "admin:account-quotas": CLOUD,
    "admin:account-suspend": POST_ONLY,
    "admin:account-withdraw": POST_ONLY,
    "admin:account-resume": POST_ONLY,
    "admin:books": CLOUD,
    "admin:book": CLOUD,
    "admin:search": CLOUD,
    "admin:usage": CLOUD,
    "admin:invoices": CLOUD,
    # The retail invoice is between reseller and customer: the provider is no party.
    "admin:invoice": CLOUD_MISSING,
    "admin:invoice-usage": CLOUD_MISSING,
    "admin:invoice-pdf": CLOUD_MISSING,
    "admin:branding": CLOUD,
    "admin:branding-logo": POST_ONLY,
    "admin:branding-logo-remove": POST_ONLY,
    "admin:branding-preview": CLOUD_MISSING,
    "admin:branding-reset": POST_ONLY,
    "admin:own-account": CLOUD,
    "admin:own-networks": POST_ONLY,
    "admin:own-profile": POST_ONLY,
    "admin:settings": (302, 302, 404, 404, 404, 404, 404),
    "admin:settings-group": CLOUD,
    "admin:settings-reset": POST_ONLY,
    "admin:audit": CLOUD,
    "admin:account-view": CLOUD,
    "admin:staff": CLOUD,
    "admin:person": CLOUD_MISSING,
    "admin:roles": CLOUD,
    "admin:delegated": CLOUD,
    "admin:invited": CLOUD_MISSING,
    "admin:role": CLOUD_MISSING,
    "admin:delegated-look": CLOUD_MISSING,
    "admin:person-remove": POST_ONLY,
    "admin:invitation-resend": POST_ONLY,
    "admin:invitation-revoke": POST_ONLY,
    "admin:role-delete": POST_ONLY,
    "admin:grant-create": POST_ONLY,
    "admin:grant-revoke": POST_ONLY,
    "admin:delegated-end": POST_ONLY,
}
_ALERTS: Final = {
    "alerts": (200, None), "alert-rules": (200, None), "alert-rule-create": (200, 422),
    "alert-channels": (200, 422), "alert-silences": (200, 422), "incident": (404, None),
    "alert-rule": (404, 404), "alert-channel": (404, 404), "incident-acknowledge": (405, 404),
    "alert-rule-switch": (405, 404), "alert-rule-remove": (405, 404), "silence-end": (405, 404),
}  # fmt: skip
"""Of resellers and the provider: what their own owner gets from GET and from an empty POST."""


def _of(portal: str, status: int) -> tuple[int, int, int, int, int, int, int]:
    own = {"admin": 1, "r": 2}[portal]
    return tuple(302 if i == 0 else status if i == own else 404 for i in range(7))  # type: ignore[return-value]


for _portal in ("r", "admin"):
    GET |= {
        f"{_portal}:{name}": POST_ONLY if got == 405 else _of(_portal, got)
        for name, (got, _) in _ALERTS.items()
    }
MEMBERS = {
    "c": (302, 404, 404, 404, 200, 200, 404),
    "r": (302, 404, 200, 404, 404, 404, 404),
    "admin": (302, 200, 404, 404, 404, 404, 404),
}
for _portal, _seen in MEMBERS.items():
    GET |= {f"{_portal}:{name}": POST_ONLY for name in (
        "name-unlock", "view-keep", "view-drop", "my-sessions-end", "my-session-end",
        "my-password", "my-factor-remove",
    )}  # fmt: skip
    GET |= {f"{_portal}:my-sign-in": _seen}
GET |= {
    "c:access": NOT_VIEWER,
    "r:access": RESELLER,
    "admin:access": CLOUD,
    "admin:mfa": CLOUD,
    # Without a rule to preview: the form again.
    "admin:mfa-preview": (302, 422, 404, 404, 404, 404, 404),
    "admin:mfa-rule-set": POST_ONLY,
    "admin:mfa-rule-remove": POST_ONLY,
    "admin:mfa-group-set": POST_ONLY,
    "admin:mfa-factors-reset": POST_ONLY,
    "admin:mfa-exempt": POST_ONLY,
    "admin:mfa-exemption-end": POST_ONLY,
}
# Empty forms: whoever may gets 422 with the reason beside the field.
POST: dict[str, tuple[int, int, int, int, int, int, int]] = {
    # Nothing there has these ids.
    **{
        f"c:{name}": (302, 404, 404, 404, 404, 403, 404)
        for name in (
            "issue-change",
            "incident-acknowledge",
            "alert-rule",
            "alert-rule-switch",
            "alert-rule-remove",
            "alert-channel",
            "silence-end",
            "delivery-again",
        )
    },
    "c:alert-rule-create": (302, 404, 404, 404, 422, 403, 404),
    "c:issues": (302, 404, 404, 404, 422, 403, 404),
    "c:paths": (302, 404, 404, 404, 422, 403, 404),
    "c:path-template": (302, 404, 404, 404, 404, 403, 404),
    "c:vendor-review": (302, 404, 404, 404, 422, 403, 404),
    "c:alert-channels": (302, 404, 404, 404, 422, 403, 404),
    "c:alert-silences": (302, 404, 404, 404, 422, 403, 404),
    "c:exports": (302, 404, 404, 404, 422, 403, 404),
    "c:export-remove": (302, 404, 404, 404, 404, 403, 404),
    "c:retention": (302, 404, 404, 404, 422, 403, 404),
    # Nothing was chosen that could be taken back.
    "c:retention-undo": (302, 404, 404, 404, 409, 403, 404),
    "c:retention-holds": (302, 404, 404, 404, 422, 403, 404),
    "c:retention-hold": (302, 404, 404, 404, 422, 403, 404),
    "r:delivery-again": RESELLER_MISSING,
    "admin:delivery-again": CLOUD_MISSING,
    "c:staff": (302, 404, 404, 404, 422, 403, 404),
    "c:person": (302, 404, 404, 404, 422, 403, 404),
    "c:person-remove": (302, 404, 404, 404, 422, 403, 404),
    "c:invitation-resend": (302, 404, 404, 404, 404, 403, 404),
    "c:invitation-revoke": (302, 404, 404, 404, 404, 403, 404),
    "c:roles": (302, 404, 404, 404, 422, 403, 404),
    "c:role": (302, 404, 404, 404, 404, 403, 404),
    "c:role-delete": (302, 404, 404, 404, 404, 403, 404),
    "c:grant-create": (302, 404, 404, 404, 422, 403, 404),
    "c:grant-revoke": (302, 404, 404, 404, 404, 403, 404),
    "c:delegated-end": (302, 404, 404, 404, 404, 404, 404),
    "r:staff": (302, 404, 422, 404, 404, 404, 404),
    "r:person": (302, 404, 422, 404, 404, 404, 404),
    "r:person-remove": (302, 404, 422, 404, 404, 404, 404),
    "r:invitation-resend": (302, 404, 404, 404, 404, 404, 404),
    "r:invitation-revoke": (302, 404, 404, 404, 404, 404, 404),
    "r:roles": (302, 404, 422, 404, 404, 404, 404),
    "r:role": (302, 404, 404, 404, 404, 404, 404),
    "r:role-delete": (302, 404, 404, 404, 404, 404, 404),
    "r:grant-create": (302, 404, 422, 404, 404, 404, 404),
    "r:grant-revoke": (302, 404, 404, 404, 404, 404, 404),
    "r:delegated-end": (302, 404, 404, 404, 404, 404, 404),
    "r:account-view": (302, 404, 422, 404, 404, 404, 404),
    "admin:staff": (302, 422, 404, 404, 404, 404, 404),
    "admin:person": (302, 404, 404, 404, 404, 404, 404),
    "admin:person-remove": (302, 404, 404, 404, 404, 404, 404),
    "admin:invitation-resend": (302, 404, 404, 404, 404, 404, 404),
    "admin:invitation-revoke": (302, 404, 404, 404, 404, 404, 404),
    "admin:roles": (302, 422, 404, 404, 404, 404, 404),
    "admin:role": (302, 404, 404, 404, 404, 404, 404),
    "admin:role-delete": (302, 404, 404, 404, 404, 404, 404),
    "admin:grant-create": (302, 403, 404, 404, 404, 404, 404),
    "admin:grant-revoke": (302, 403, 404, 404, 404, 404, 404),
    "admin:delegated-end": (302, 404, 404, 404, 404, 404, 404),
    "admin:account-view": (302, 422, 404, 404, 404, 404, 404),
    "c:environments": (302, 404, 404, 404, 422, 403, 404),
    "c:token-create": (302, 404, 404, 404, 422, 403, 404),
    # Nothing is asked but a fresh proof, which everybody here has: the token is shown.
    "c:token-reveal": (302, 404, 404, 404, 200, 403, 404),
    "c:token-revoke": (302, 404, 404, 404, 422, 403, 404),
    "c:capture-set": (302, 404, 404, 404, 422, 403, 404),
    "c:dns-audit-set": (302, 404, 404, 404, 422, 403, 404),
    "c:certificates-set": (302, 404, 404, 404, 422, 403, 404),
    "c:store-set": (302, 404, 404, 404, 422, 403, 404),
    "c:store-s3-set": (302, 404, 404, 404, 422, 403, 404),
    "c:agent-remove": (302, 404, 404, 404, 422, 403, 404),
    "r:customers": (302, 404, 422, 404, 404, 404, 404),
    "r:account-suspend": (302, 404, 422, 404, 404, 404, 404),
    "r:account-resume": (302, 404, 422, 404, 404, 404, 404),
    "admin:keys-rotate": (302, 302, 404, 404, 404, 404, 404),
    # Nobody said what to do with it.
    "admin:aside-decide": (302, 422, 404, 404, 404, 404, 404),
    "c:takeout": (302, 404, 404, 404, 302, 403, 404),
    "c:takeout-remove": (302, 404, 404, 404, 404, 403, 404),
    "r:takeout": (302, 404, 302, 404, 404, 404, 404),
    "r:takeout-remove": (302, 404, 404, 404, 404, 404, 404),
    "c:own-networks": (302, 404, 404, 404, 302, 403, 404),
    "c:own-profile": (302, 404, 404, 404, 422, 403, 404),
    "r:own-networks": (302, 404, 302, 404, 404, 404, 404),
    "r:own-profile": (302, 404, 422, 404, 404, 404, 404),
    "r:account": (302, 404, 422, 404, 404, 404, 404),
    "r:account-close": (302, 404, 422, 404, 404, 404, 404),
    "r:account-networks": (302, 404, 302, 404, 404, 404, 404),
    "r:account-quotas": (302, 404, 422, 404, 404, 404, 404),
    "r:account-withdraw": (302, 404, 422, 404, 404, 404, 404),
    "admin:own-networks": (302, 302, 404, 404, 404, 404, 404),
    "admin:own-profile": (302, 422, 404, 404, 404, 404, 404),
    "admin:account": (302, 422, 404, 404, 404, 404, 404),
    "admin:account-close": (302, 422, 404, 404, 404, 404, 404),
    "admin:account-networks": (302, 302, 404, 404, 404, 404, 404),
    "admin:account-quotas": (302, 422, 404, 404, 404, 404, 404),
    "admin:account-withdraw": (302, 422, 404, 404, 404, 404, 404),
    "r:branding": (302, 404, 422, 404, 404, 404, 404),
    "r:branding-logo": (302, 404, 422, 404, 404, 404, 404),
    "r:branding-logo-remove": (302, 404, 302, 404, 404, 404, 404),
    "r:branding-reset": (302, 404, 302, 404, 404, 404, 404),
    "admin:branding": (302, 422, 404, 404, 404, 404, 404),
    "admin:branding-logo": (302, 422, 404, 404, 404, 404, 404),
    "admin:branding-logo-remove": (302, 302, 404, 404, 404, 404, 404),
    "admin:branding-reset": (302, 302, 404, 404, 404, 404, 404),
    # Nothing typed is nothing changed.
    "admin:settings-group": (302, 302, 404, 404, 404, 404, 404),
    "admin:settings-reset": (302, 404, 404, 404, 404, 404, 404),
    "admin:accounts": (302, 422, 404, 404, 404, 404, 404),
    "admin:account-suspend": (302, 422, 404, 404, 404, 404, 404),
    "admin:account-resume": (302, 422, 404, 404, 404, 404, 404),
}


Seen = tuple[int, int, int, int, int, int, int]


def _posts(portal: str, code: int) -> Seen:
    """For members of the portal alone."""
    a, b, c, d, e, f, g = (code if status == 200 else status for status in MEMBERS[portal])
    return a, b, c, d, e, f, g


for _portal in ("r", "admin"):
    POST |= {f"{_portal}:{name}": _of(_portal, got) for name, (_, got) in _ALERTS.items() if got}
for _portal in MEMBERS:
    # Of somebody who does not work there: back to the page, which says so.
    POST[f"{_portal}:name-unlock"] = _posts(_portal, 302)
    POST[f"{_portal}:view-keep"] = _posts(_portal, 302)
    POST[f"{_portal}:view-drop"] = _posts(_portal, 302)
    POST[f"{_portal}:my-session-end"] = _posts(_portal, 302)
    POST[f"{_portal}:my-password"] = _posts(_portal, 422)
    POST[f"{_portal}:my-factor-remove"] = _posts(_portal, 302)
POST |= {
    "c:name-unlock": (302, 404, 404, 404, 302, 403, 404),
    # A second factor is required of the provider's people.
    "admin:my-factor-remove": (302, 403, 404, 404, 404, 404, 404),
    "admin:mfa-rule-set": (302, 422, 404, 404, 404, 404, 404),
    "admin:mfa-rule-remove": (302, 404, 404, 404, 404, 404, 404),
    "admin:mfa-group-set": (302, 422, 404, 404, 404, 404, 404),
    "admin:mfa-factors-reset": (302, 422, 404, 404, 404, 404, 404),
    "admin:mfa-exempt": (302, 422, 404, 404, 404, 404, 404),
    "admin:mfa-exemption-end": (302, 404, 404, 404, 404, 404, 404),
    # Last: whoever signs out everywhere else has no session left in the other portals.
    "c:my-sessions-end": (302, 404, 404, 404, 302, 302, 404),
    "r:my-sessions-end": (302, 404, 302, 404, 302, 302, 404),
    "admin:my-sessions-end": (302, 302, 302, 404, 302, 302, 404),
}


def named(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{pattern.namespace}:" if pattern.namespace else prefix
            yield from named(pattern.url_patterns, inner)
        else:
            yield f"{prefix}{pattern.name}", pattern.callback


VIEWS: Final = dict(named(get_resolver().url_patterns))


@pytest.fixture
def everybody(
    world: World,  # noqa: ARG001  made before anybody looks
    cloud_admin: Person,
    reseller_owner: Person,
    other_reseller_owner: Person,
    customer_owner: Person,
    customer_viewer: Person,
    other_customer_owner: Person,
) -> list[Client]:
    people = (cloud_admin, reseller_owner, other_reseller_owner, customer_owner, customer_viewer,
              other_customer_owner)  # fmt: skip
    return [Client(), *(sign_in(person) for person in people)]


def address(name: str, world: World, customer: Person, reseller: Person) -> str:
    known: dict[str, Any] = {
        "environment_id": world.environment_id,
        "token_id": world.token_id,
        "agent_id": world.agent_id,
        "request_id": world.request_id,
        "invoice_id": world.invoice_id,
        "account_id": customer.account.id,
        "session_id": NOBODY,
        "view_id": NOBODY,
        "rule_id": NOBODY,
        "exemption_id": NOBODY,
        "code": "retail" if name.startswith("r:") else "wholesale",
        "version": 1,
        "token": "unknown",
        "user_id": reseller.user.id if name.startswith("r:") else customer.user.id,
        "role_id": UUID(int=1),
        "issue_id": UUID(int=1),
        "incident_id": UUID(int=1),
        "channel_id": UUID(int=1),
        "silence_id": UUID(int=1),
        "hold_id": UUID(int=1),
        "export_id": UUID(int=1),
        "delivery_id": UUID(int=1),
        "vendor_id": world.vendor_id,
        "path_host_id": UUID(int=1),
        "template_id": UUID(int=1),
        "invitation_id": UUID(int=1),
        "delegation_id": UUID(int=1),
        "grant_id": UUID(int=1),
        "takeout_id": UUID(int=1),
        "batch_id": UUID(int=1),
        "key": "sessions",
        "digest": "none",
        "account": reseller.slug if name.startswith("r:") else customer.slug,
    }
    return reverse(name, kwargs={key: known[key] for key in _parameters(name)})


def _parameters(name: str) -> list[str]:
    namespace, _, own = name.rpartition(":")
    resolver = get_resolver()
    if namespace:
        prefix, resolver = resolver.namespace_dict[namespace]
        del prefix
    return list(resolver.reverse_dict.getlist(own)[0][0][0][1])


def test_every_view_names_its_permission_or_why_it_has_none() -> None:
    for name, view in VIEWS.items():
        permission = getattr(view, "permission", None)
        assert permission is not None, f"{name} has no permission: use @page, @action or @public"
        if permission in {PUBLIC, PERSONAL}:
            assert view.public_reason, name
        else:
            assert permission in Permission, name


def test_the_public_pages_are_these_and_no_others() -> None:
    public = {name for name, view in VIEWS.items() if view.permission == PUBLIC}
    assert public == set(PUBLIC_GET)


def test_the_table_has_every_address() -> None:
    assert set(GET) == set(VIEWS)
    posting = {n for n, v in VIEWS.items() if "POST" in getattr(v, "asked", {})}
    assert set(POST) == posting


@pytest.mark.timeout(400)
def test_every_page_for_everybody(
    everybody: list[Client], world: World, customer_owner: Person, reseller_owner: Person
) -> None:
    seen = {
        name: tuple(
            client.get(address(name, world, customer_owner, reseller_owner)).status_code
            for client in everybody
        )
        for name in GET
    }
    assert seen == GET


@pytest.mark.timeout(400)
def test_every_change_for_everybody(
    everybody: list[Client], world: World, customer_owner: Person, reseller_owner: Person
) -> None:
    seen = {
        name: tuple(
            client.post(address(name, world, customer_owner, reseller_owner)).status_code
            for client in everybody
        )
        for name in POST
    }
    assert seen == POST


def test_a_refusal_says_why_and_is_in_the_journal(
    world: World,  # noqa: ARG001
    customer_owner: Person,
    customer_viewer: Person,
    other_customer_owner: Person,
) -> None:
    path = f"/c/{customer_owner.slug}/audit"
    refused = sign_in(customer_viewer).get(path)
    assert "audit:log:read" in refused.content.decode()
    assert refused["X-Request-ID"] in refused.content.decode()
    assert sign_in(other_customer_owner).get(path).status_code == 404
    found = entries(customer_owner.scope, EntryFilter(outcome="denied")).entries
    assert [(e.actor_label, e.action, e.object_id) for e in found] == [
        (other_customer_owner.email, "portal.page.enter", path),
        (customer_viewer.email, "portal.page.get", path),
    ]


def test_a_stranger_learns_no_more_of_an_account_than_of_none(
    world: World,  # noqa: ARG001
    customer_owner: Person,
    other_customer_owner: Person,
) -> None:
    client = sign_in(other_customer_owner)
    there = client.get(f"/c/{customer_owner.slug}/agents")
    nowhere = client.get("/c/no-such-account/agents")
    assert there.status_code == nowhere.status_code == 404
    bodies = [_without_ids(r.content.decode(), r["X-Request-ID"]) for r in (there, nowhere)]
    assert bodies[0].replace(customer_owner.slug, "X") == bodies[1].replace("no-such-account", "X")


def _without_ids(text: str, request_id: str) -> str:
    lines = text.replace(request_id, "R").splitlines()
    return "\n".join(line for line in lines if "csrf" not in line and "nonce" not in line)
