"""The people that every test knows, each with a real account behind them.

Asking for one makes those above it: a customer comes with its reseller and the provider.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher

from identity import selectors, services
from identity.models import User
from identity.selectors import AccountInfo, InvitationInfo
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import Scope, Tier, unscoped

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Person:
    """Somebody who can sign in with ``email`` and ``PASSWORD``."""

    user: User
    email: str
    account: AccountInfo
    role: str

    @property
    def scope(self) -> Scope:
        return self.account.scope

    @property
    def slug(self) -> str:
        return self.account.slug

    @property
    def actor(self) -> Actor:
        """As a door would build it now: rights and suspension are read afresh."""
        actor = selectors.actor_for(self.user, self.slug, ip="192.0.2.1", request_id="req-test")
        assert actor is not None, f"{self.email} does not work for {self.slug}"
        return actor


def hire(account: AccountInfo, role: str, email: str, by: Actor | None = None) -> Person:
    """A new person in ``account``; by the system unless somebody invites them."""
    name = email.partition("@")[0].title()
    if by is not None:
        invite(account, role, email, by, name=name)
        user = accept(_tokens.pop(), name)
        return Person(user, user.email, account, role)
    staff = services.staff_create(
        actor=Actor.system("cast"),
        account_id=account.id,
        email=email,
        name=name,
        role=role,
        password=PASSWORD,
    )
    return Person(_user(email), staff.email, account, role)


_tokens: list[str] = []
"""Of invitations, the last one last: what their addressees found in their mail."""


def link(token: str) -> str:
    """The address of an invitation, as a door writes it into the mail."""
    _tokens.append(token)
    return f"http://127.0.0.1/invitations/{token}"


def last_token() -> str:
    return _tokens[-1]


def invite(account: AccountInfo, role: str, email: str, by: Actor, **more: Any) -> InvitationInfo:
    return services.invitation_create(
        actor=by, account_id=account.id, email=email, role=role, link=link, **more
    )


def accept(token: str, name: str = "Somebody") -> User:
    """Whoever the invitation is for agrees; with a new login where it has none."""
    invited = services.invitation_by_token(token)
    seen = {"ip": "192.0.2.2", "request_id": "req-accept"}
    if invited.has_login:
        user = _user(invited.invitation.email)
        services.invitation_accept(user=user, token=token, **seen)
        return user
    return services.invitation_accept_new(token=token, name=name, password=PASSWORD, **seen)[1]


def found(by: Actor, tier: Tier, slug: str, *, currency: str = "EUR") -> AccountInfo:
    """A new account right below the one that ``by`` acts for."""
    assert by.scope is not None
    return services.account_create(
        actor=by,
        tier=tier,
        name=slug.replace("-", " ").title(),
        slug=slug,
        parent_id=by.scope.account_id,
        currency=currency,
        timezone="Europe/Berlin",
    )


def _user(email: str) -> User:
    with unscoped("the cast"):
        user: User = User.objects.get(email=email)
    return user


@pytest.fixture(autouse=True, scope="session")
def cheap_hashes() -> None:
    """The real hasher with little memory: tests hire many people."""
    Argon2PasswordHasher.time_cost = 1
    Argon2PasswordHasher.memory_cost = 1_024
    Argon2PasswordHasher.parallelism = 1


@pytest.fixture
def cloud_admin(db: None) -> Person:  # noqa: ARG001  the database itself is what it needs
    """Owner of the provider's account, slug ``provider``."""
    account = services.platform_create(
        actor=Actor.system("cast"),
        name="Provider",
        slug="provider",
        currency="EUR",
        timezone="Europe/Berlin",
    )
    return hire(account, "owner", "ada@provider.example")


@pytest.fixture
def reseller_owner(cloud_admin: Person) -> Person:
    """Owner of reseller ``north``."""
    account = found(cloud_admin.actor, Tier.RESELLER, "north")
    return hire(account, "owner", "rosa@north.example", cloud_admin.actor)


@pytest.fixture
def other_reseller_owner(cloud_admin: Person) -> Person:
    """Owner of reseller ``south``."""
    account = found(cloud_admin.actor, Tier.RESELLER, "south")
    return hire(account, "owner", "otto@south.example", cloud_admin.actor)


@pytest.fixture
def customer_owner(reseller_owner: Person) -> Person:
    """Owner of customer ``acme``, of reseller ``north``."""
    account = found(reseller_owner.actor, Tier.CUSTOMER, "acme")
    return hire(account, "owner", "carla@acme.example", reseller_owner.actor)


@pytest.fixture
def customer_viewer(customer_owner: Person) -> Person:
    """Reads ``acme`` and changes nothing."""
    return hire(customer_owner.account, "viewer", "victor@acme.example", customer_owner.actor)


@pytest.fixture
def customer_teammate(customer_owner: Person) -> Person:
    """An editor of ``acme``."""
    return hire(customer_owner.account, "editor", "tina@acme.example", customer_owner.actor)


@pytest.fixture
def other_customer_owner(other_reseller_owner: Person) -> Person:
    """Owner of customer ``birch``, of the other reseller."""
    account = found(other_reseller_owner.actor, Tier.CUSTOMER, "birch")
    return hire(account, "owner", "bruno@birch.example", other_reseller_owner.actor)


@pytest.fixture
def stranger(customer_owner: Person) -> Person:
    """Signs in like anybody, and works for nobody any more.

    ``account`` is one that it may not enter: ``acme``.
    """
    person = hire(customer_owner.account, "viewer", "sam@elsewhere.example", customer_owner.actor)
    services.staff_remove(
        actor=customer_owner.actor, account_id=person.account.id, user_id=person.user.id
    )
    return person
