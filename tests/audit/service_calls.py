"""A call of each service of identity and fleet, by who may make it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from fleet.selectors import EnvironmentInfo
from fleet.services import (
    agent_remove,
    environment_capture_set,
    environment_certificates_set,
    environment_close,
    environment_create,
    environment_dns_audit_set,
    object_open,
    object_store_s3_set,
    object_store_set,
    registration_token_create,
    registration_token_reveal,
    registration_token_revoke,
)
from identity.quotas import Quota
from identity.selectors import DelegationInfo, GrantInfo
from identity.services import (
    account_close,
    account_close_withdraw,
    account_create,
    account_profile_set,
    account_resume,
    account_suspend,
    allow_list_set,
    brand_logo_set,
    brand_reset,
    brand_set,
    delegation_end,
    delegation_grant_create,
    delegation_grant_revoke,
    delegation_start,
    invitation_resend,
    invitation_revoke,
    mfa_exempt,
    mfa_exemption_end,
    mfa_factors_reset,
    mfa_group_set,
    mfa_rule_remove,
    mfa_rule_set,
    name_unlock,
    quotas_set,
    role_create,
    role_delete,
    role_update,
    staff_remove,
    staff_role_set,
    view_delete,
    view_save,
)
from qcloud.kernel.clock import now
from qcloud.kernel.permissions import Actor, Permission
from qcloud.kernel.scope import Tier
from tests.factories.cast import Person, invite, link
from wire.objects import object_digest

BODY = b"payload"


@dataclass(frozen=True)
class Stage:
    """What the services below work on."""

    reseller: Person
    customer: Person
    viewer: Person
    production: EnvironmentInfo
    token_id: UUID
    agent_id: UUID
    store: Path
    cloud: Person


def _resume(s: Stage, actor: Actor) -> object:
    account_suspend(actor=s.reseller.actor, account_id=s.customer.account.id, reason="test")
    return account_resume(actor=actor, account_id=s.customer.account.id)


def _withdraw(s: Stage, actor: Actor) -> object:
    account_close(
        actor=replace(s.reseller.actor, proved_at=now()),
        account_id=s.customer.account.id,
        reason="test",
    )
    return account_close_withdraw(actor=actor, account_id=s.customer.account.id)


def _look(s: Stage, actor: Actor) -> DelegationInfo:
    return delegation_start(
        actor=replace(actor, proved_at=now()),
        account_id=s.customer.account.id,
        reason="their agents are silent",
        ticket="T-1",
        minutes=5,
    )


def _grant(s: Stage, actor: Actor) -> GrantInfo:
    return delegation_grant_create(
        actor=replace(actor, proved_at=now()),
        grantee_id=s.reseller.account.id,
        permissions=[Permission.PULSE_OBJECT_READ],
        ends_at=now() + timedelta(days=1),
    )


def _role(s: Stage) -> UUID:
    made = role_create(
        actor=s.customer.actor,
        account_id=s.customer.account.id,
        name="Watcher",
        permissions=[Permission.PULSE_TRAFFIC_READ],
    )
    return UUID(made.key)


def _invited(s: Stage) -> UUID:
    return invite(s.customer.account, "viewer", "asked@acme.example", s.customer.actor).id


Call = Callable[[Stage, Actor], object]
BY_RESELLER: dict[str, tuple[str, Call]] = {
    "account_create": (
        "identity.account.create",
        lambda s, a: account_create(
            actor=a,
            tier=Tier.CUSTOMER,
            name="New",
            slug="new",
            parent_id=s.reseller.account.id,
            currency="EUR",
            timezone="UTC",
        ),
    ),
    "account_suspend": (
        "identity.account.suspend",
        lambda s, a: account_suspend(actor=a, account_id=s.customer.account.id, reason="test"),
    ),
    "account_resume": ("identity.account.resume", _resume),
    "delegation_start": ("identity.delegation.start", _look),
    "account_close": (
        "identity.account.close",
        lambda s, a: account_close(
            actor=replace(a, proved_at=now()), account_id=s.customer.account.id, reason="test"
        ),
    ),
    "brand_set": (
        "identity.brand.set",
        lambda _s, a: brand_set(
            actor=a, product="Other", accent_light="", accent_dark="", sender="", host=""
        ),
    ),
    "brand_logo_set": (
        "identity.brand.logo_set",
        lambda _s, a: brand_logo_set(actor=a, data=b""),
    ),
    "brand_reset": ("identity.brand.reset", lambda _s, a: brand_reset(actor=a)),
    "account_close_withdraw": ("identity.account.close_withdraw", _withdraw),
    "quotas_set": (
        "identity.account.quotas_set",
        lambda s, a: quotas_set(
            actor=a, account_id=s.customer.account.id, quotas={Quota.AGENTS: 7}
        ),
    ),
}
BY_CUSTOMER: dict[str, tuple[str, Call]] = {
    "account_profile_set": (
        "identity.account.profile_set",
        lambda s, a: account_profile_set(
            actor=a, account_id=s.customer.account.id, name="Other", timezone="UTC"
        ),
    ),
    "allow_list_set": (
        "identity.account.allow_list_set",
        lambda s, a: allow_list_set(
            actor=replace(a, proved_at=now()),
            account_id=s.customer.account.id,
            networks=a.ip,
        ),
    ),
    "invitation_create": (
        "identity.invitation.create",
        lambda s, a: invite(s.customer.account, "viewer", "new@acme.example", a),
    ),
    "invitation_resend": (
        "identity.invitation.resend",
        lambda s, a: invitation_resend(
            actor=a, account_id=s.customer.account.id, invitation_id=_invited(s), link=link
        ),
    ),
    "invitation_revoke": (
        "identity.invitation.revoke",
        lambda s, a: invitation_revoke(
            actor=a, account_id=s.customer.account.id, invitation_id=_invited(s)
        ),
    ),
    "role_create": (
        "identity.role.create",
        lambda s, a: role_create(
            actor=a,
            account_id=s.customer.account.id,
            name="New",
            permissions=[Permission.PULSE_TRAFFIC_READ],
        ),
    ),
    "role_update": (
        "identity.role.update",
        lambda s, a: role_update(
            actor=a,
            account_id=s.customer.account.id,
            role_id=_role(s),
            name="Other",
            permissions=[Permission.PULSE_REQUEST_READ],
        ),
    ),
    "role_delete": (
        "identity.role.delete",
        lambda s, a: role_delete(actor=a, account_id=s.customer.account.id, role_id=_role(s)),
    ),
    "delegation_grant_create": ("identity.delegation.grant", _grant),
    "delegation_grant_revoke": (
        "identity.delegation.grant_revoke",
        lambda s, a: delegation_grant_revoke(actor=a, grant_id=_grant(s, s.customer.actor).id),
    ),
    "delegation_end": (
        "identity.delegation.end",
        lambda s, a: delegation_end(actor=a, delegation_id=_look(s, s.reseller.actor).id),
    ),
    "staff_role_set": (
        "identity.staff.role_set",
        lambda s, a: staff_role_set(
            actor=a, account_id=s.customer.account.id, user_id=s.viewer.user.id, role="editor"
        ),
    ),
    "staff_remove": (
        "identity.staff.remove",
        lambda s, a: staff_remove(
            actor=a, account_id=s.customer.account.id, user_id=s.viewer.user.id
        ),
    ),
    "environment_create": (
        "fleet.environment.create",
        lambda _s, a: environment_create(actor=a, name="Staging", slug="staging"),
    ),
    "environment_capture_set": (
        "fleet.environment.capture_set",
        lambda s, a: environment_capture_set(
            actor=a, environment_id=s.production.id, capture_level="none"
        ),
    ),
    "environment_certificates_set": (
        "fleet.environment.certificates_set",
        lambda s, a: environment_certificates_set(
            actor=a, environment_id=s.production.id, looked_at="on"
        ),
    ),
    "environment_dns_audit_set": (
        "fleet.environment.dns_audit_set",
        lambda s, a: environment_dns_audit_set(
            actor=a, environment_id=s.production.id, reported="on"
        ),
    ),
    "environment_close": (
        "fleet.environment.close",
        lambda s, a: environment_close(actor=a, environment_id=s.production.id),
    ),
    "object_store_set": (
        "fleet.object_store.set",
        lambda s, a: object_store_set(actor=a, environment_id=s.production.id, path="/srv/acme"),
    ),
    "object_store_s3_set": (
        "fleet.object_store.set",
        lambda s, a: object_store_s3_set(
            actor=replace(a, proved_at=now()),
            environment_id=s.production.id,
            endpoint="s3.example.com",
            bucket="acme",
            region="eu-central-1",
            access_url="",
            access_key="key",
            secret_key="secret",
            insecure=False,
        ),
    ),
    "registration_token_reveal": (
        "fleet.token.reveal",
        lambda s, a: registration_token_reveal(
            actor=replace(a, proved_at=now()), token_id=s.token_id
        ),
    ),
    "registration_token_create": (
        "fleet.token.create",
        lambda s, a: registration_token_create(
            actor=a, environment_id=s.production.id, name="second"
        ),
    ),
    "registration_token_revoke": (
        "fleet.token.revoke",
        lambda s, a: registration_token_revoke(actor=a, token_id=s.token_id),
    ),
    "agent_remove": (
        "fleet.agent.remove",
        lambda s, a: agent_remove(actor=a, agent_id=s.agent_id),
    ),
    "object_open": (
        "fleet.object.read",
        lambda s, a: object_open(
            actor=a, environment_id=s.production.id, digest=object_digest(BODY)
        ),
    ),
}


def _fresh(actor: Actor) -> Actor:
    return replace(actor, proved_at=now())


def _exempt(s: Stage, actor: Actor) -> UUID:
    return mfa_exempt(
        actor=_fresh(actor),
        whom=s.customer.email,
        reason="the telephone was stolen",
        ends_at=now() + timedelta(days=1),
    ).id


def _rule(actor: Actor) -> UUID | None:
    return mfa_rule_set(
        actor=_fresh(actor), subject="all", value="", required=True, grace_days=7
    ).id


def _view(s: Stage) -> UUID:
    return view_save(actor=s.customer.actor, page="audit", name="mine", query="q=a")


BY_CLOUD: dict[str, tuple[str, Call]] = {
    "mfa_rule_set": ("identity.mfa.rule_set", lambda _s, a: _rule(a)),
    "mfa_rule_remove": (
        "identity.mfa.rule_remove",
        lambda s, a: mfa_rule_remove(actor=_fresh(a), rule_id=_rule(s.cloud.actor) or UUID(int=0)),
    ),
    "mfa_exempt": ("identity.mfa.exempt", _exempt),
    "mfa_exemption_end": (
        "identity.mfa.exemption_end",
        lambda s, a: mfa_exemption_end(actor=_fresh(a), exemption_id=_exempt(s, s.cloud.actor)),
    ),
    "mfa_factors_reset": (
        "identity.mfa.factors_reset",
        lambda s, a: mfa_factors_reset(
            actor=_fresh(a), email=s.customer.email, reason="telephone lost, seen in person"
        ),
    ),
    "mfa_group_set": (
        "identity.mfa.group_set",
        lambda s, a: mfa_group_set(actor=_fresh(a), name="On call", emails=s.customer.email),
    ),
}
BY_CUSTOMER |= {
    "name_unlock": (
        "identity.name.unlock",
        lambda s, a: name_unlock(actor=a, user_id=s.viewer.user.id),
    ),
    "view_save": (
        "identity.view.save",
        lambda _s, a: view_save(actor=a, page="audit", name="new", query="q=a"),
    ),
    "view_delete": (
        "identity.view.delete",
        lambda s, a: view_delete(actor=a, view_id=_view(s)),
    ),
}
SERVICES = BY_RESELLER | BY_CUSTOMER | BY_CLOUD
ELSEWHERE = {
    *("setting_reset", "settings_set", "erasures_drive"),
    *("takeout_open", "takeout_remove", "takeout_start"),
    "object_locate",
}
"""The provider's, the system's, an archive's and an object's own: tests/identity/test_settings.py,
test_erasure.py, test_takeout.py, tests/portal/test_objects_and_live.py.
"""
