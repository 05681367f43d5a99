"""The accounts that a first start shows: a provider, a reseller, two customers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from typing import Final

from fleet.selectors import EnvironmentInfo, environments, object_store_of
from fleet.services import environment_create, object_store_set, registration_token_create
from identity.selectors import AccountInfo, account_by_slug, staff
from identity.services import account_create, platform_create, staff_create
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import Tier, scoped

CURRENCY: Final = "EUR"
TIMEZONE: Final = "Europe/Berlin"
TOKEN_NAME: Final = "demo"  # noqa: S105  what it is called, not what it is


@dataclass(frozen=True)
class _Plan:
    slug: str
    name: str
    tier: Tier
    parent: str
    staff: tuple[tuple[str, str, str], ...]
    """E-mail address, name, role."""


PLANS: Final = (
    _Plan(
        "nordlicht",
        "Nordlicht Cloud",
        Tier.CLOUD,
        "",
        (("ada@nordlicht.example", "Ada Lindqvist", "owner"),),
    ),
    _Plan(
        "hansa",
        "Hansa Systems",
        Tier.RESELLER,
        "nordlicht",
        (("henrik@hansa.example", "Henrik Behrens", "owner"),),
    ),
    _Plan(
        "acme",
        "Acme Shop",
        Tier.CUSTOMER,
        "hansa",
        (
            ("carla@acme.example", "Carla Reyes", "owner"),
            ("victor@acme.example", "Victor Okafor", "viewer"),
        ),
    ),
    _Plan(
        "birch",
        "Birch Bank",
        Tier.CUSTOMER,
        "hansa",
        (("bruno@birch.example", "Bruno Keller", "owner"),),
    ),
)


@dataclass(frozen=True)
class Login:
    tier: Tier
    account: str
    """Slug."""
    role: str
    email: str
    password: str


@dataclass
class Secrets:
    """What was generated for the demo. ``save`` keeps it before anybody has to know it.

    A password is saved before its login is made and a token as soon as it is: whenever the
    demo is killed, repeating it leaves nobody with a password that was lost.
    """

    save: Callable[[Secrets], None]
    logins: dict[str, Login] = field(default_factory=dict)
    """By e-mail address."""
    registration_tokens: dict[str, str] = field(default_factory=dict)
    """By slug of the customer, for its environment ``production``."""


def make(objects: Path, secrets: Secrets) -> None:
    """Make what is missing of the demo; harmless to repeat.

    Customers get an environment ``production`` whose object store is a directory of theirs
    below ``objects``. Raises ``Conflict`` where the platform has another provider already.
    """
    for plan in PLANS:
        account = account_by_slug(plan.slug) or _account(plan)
        _make_logins(plan, account, secrets)
        if plan.tier is Tier.CUSTOMER:
            _make_environment(account, objects / plan.slug, secrets)


def _account(plan: _Plan) -> AccountInfo:
    actor = Actor.system("demo")
    parent = account_by_slug(plan.parent)
    if parent is None:
        return platform_create(
            actor=actor, name=plan.name, slug=plan.slug, currency=CURRENCY, timezone=TIMEZONE
        )
    return account_create(
        actor=actor,
        tier=plan.tier,
        name=plan.name,
        slug=plan.slug,
        parent_id=parent.id,
        currency=CURRENCY,
        timezone=TIMEZONE,
    )


def _make_logins(plan: _Plan, account: AccountInfo, secrets: Secrets) -> None:
    known = {person.email for person in staff(account.scope)}
    for email, name, role in plan.staff:
        if email in known:
            continue
        if email not in secrets.logins:
            secrets.logins[email] = Login(plan.tier, plan.slug, role, email, token_urlsafe(12))
            secrets.save(secrets)
        staff_create(
            actor=Actor.system("demo"),
            account_id=account.id,
            email=email,
            name=name,
            role=role,
            password=secrets.logins[email].password,
        )


def _make_environment(account: AccountInfo, directory: Path, secrets: Secrets) -> None:
    actor = Actor.system("demo", account.scope)
    environment = _environment(actor, account)
    with scoped(account.scope):
        has_store = object_store_of(environment.id) is not None
    if not has_store:
        object_store_set(actor=actor, environment_id=environment.id, path=str(directory))
    if account.slug not in secrets.registration_tokens:
        _, token = registration_token_create(
            actor=actor, environment_id=environment.id, name=TOKEN_NAME
        )
        secrets.registration_tokens[account.slug] = token
        secrets.save(secrets)


def _environment(actor: Actor, account: AccountInfo) -> EnvironmentInfo:
    for known in environments(account.scope):
        if known.slug == "production":
            return known
    return environment_create(actor=actor, name="Production", slug="production")
