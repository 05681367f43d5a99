"""Random trees, roles and grants: nobody ends up with what their grantor lacked.

Actions are drawn for random people at random accounts; most are refused. Before and after
each one everybody's rights everywhere are read, and every right that appeared must have been
its grantor's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.models import Environment
from fleet.services import environment_create
from identity.models import Account, DelegatedAccess, Invitation, Membership, Role, User
from identity.selectors import AccountInfo, actor_for, delegation_grants
from identity.services import (
    account_create,
    delegation_end,
    delegation_grant_create,
    delegation_start,
    invitation_accept,
    invitation_create,
    platform_create,
    role_create,
    role_delete,
    role_update,
    staff_remove,
    staff_role_set,
)
from qcloud.kernel.clock import now
from qcloud.kernel.errors import QCloudError
from qcloud.kernel.permissions import (
    LIMITABLE,
    NEVER_DELEGATED,
    ROLES,
    TIER_PERMISSIONS,
    Actor,
    Permission,
    RoleName,
)
from qcloud.kernel.scope import Tier, scoped, unscoped
from tests.tenancy.test_trees import forgotten

SYSTEM: Final = Actor.system("test")
PEOPLE: Final = 5
STAFFING: Final = (
    Permission.IDENTITY_STAFF_WRITE,
    Permission.IDENTITY_ROLE_WRITE,
    Permission.IDENTITY_DELEGATION_GRANT,
    Permission.IDENTITY_DELEGATION_START,
    Permission.PULSE_OBJECT_READ,
    Permission.PULSE_TRAFFIC_READ,
    Permission.BILLING_INVOICE_READ,
    Permission.FLEET_ENVIRONMENT_WRITE,
)
Rights = dict[tuple[int, str], tuple[frozenset[Permission], frozenset[UUID] | None, bool]]
"""By person and account: permissions, limit, and whether as a guest."""


@dataclass
class World:
    accounts: list[AccountInfo]
    people: list[User]
    places: dict[str, list[UUID]]
    tokens: list[str]

    def link(self, token: str) -> str:
        self.tokens.append(token)
        return f"http://127.0.0.1/{token}"

    def actor(self, person: int, slug: str) -> Actor | None:
        found = actor_for(self.people[person], slug, ip="", request_id="")
        return replace(found, proved_at=now()) if found else None

    def rights(self) -> Rights:
        found = {}
        for person in range(len(self.people)):
            for account in self.accounts:
                actor = self.actor(person, account.slug)
                if actor is not None:
                    found[person, account.slug] = (
                        actor.permissions,
                        actor.environments,
                        actor.delegation is not None,
                    )
        return found


def _account(tier: Tier, slug: str, parent: AccountInfo) -> AccountInfo:
    return account_create(
        actor=SYSTEM,
        tier=tier,
        name=slug,
        slug=slug,
        parent_id=parent.id,
        currency="EUR",
        timezone="UTC",
    )


def build(resellers: int, customers: list[int], roles: list[RoleName]) -> World:
    """A provider, its resellers, customers below any of them; one owner each and some staff."""
    root = platform_create(actor=SYSTEM, name="Root", slug="root", currency="EUR", timezone="UTC")
    accounts = [root, *(_account(Tier.RESELLER, f"r{i}", root) for i in range(resellers))]
    sellers = list(accounts)
    places = {}
    for number, pick in enumerate(customers):
        made = _account(Tier.CUSTOMER, f"c{number}", sellers[pick % len(sellers)])
        accounts.append(made)
        actor = Actor.system("test", made.scope)
        places[made.slug] = [
            environment_create(actor=actor, name=slug, slug=slug).id for slug in ("prod", "dev")
        ]
    with unscoped("test"):
        people = [
            User.objects.create(email=f"p{i}@test.example", name=f"P{i}") for i in range(PEOPLE)
        ]
        for number, account in enumerate(accounts):
            Membership.objects.create(
                account_id=account.id, user=people[number % PEOPLE], role=RoleName.OWNER
            )
            Membership.objects.create(
                account_id=account.id,
                user=people[(number + 1) % PEOPLE],
                role=roles[number % len(roles)],
            )
    return World(accounts, people, places, [])


# --- What people may try. Each takes the drawn actor and returns nothing.

Draw = Callable[..., Any]


def _place(world: World, account: AccountInfo, draw: Draw) -> list[UUID] | None:
    some: list[list[UUID] | None] = [[place] for place in world.places.get(account.slug, [])]
    chosen: list[UUID] | None = draw(st.sampled_from([None, None, *some]))
    return chosen


def _role(account: AccountInfo, draw: Draw) -> str:
    with unscoped("test"):
        known = Role.objects.filter(account_id=account.id).values_list("id", flat=True)[:3]
        own = [str(role_id) for role_id in known]
    return str(draw(st.sampled_from([*(r.value for r in RoleName), *own])))


def _names(draw: Draw) -> list[Permission]:
    return list(draw(st.sets(st.sampled_from(STAFFING), min_size=1)))


def invite(world: World, actor: Actor, account: AccountInfo, draw: Draw) -> None:
    person = draw(st.sampled_from(world.people))
    invitation_create(
        actor=actor,
        account_id=account.id,
        email=person.email,
        role=_role(account, draw),
        environments=_place(world, account, draw),
        link=world.link,
    )


def accept(world: World, actor: Actor, account: AccountInfo, draw: Draw) -> None:
    del account
    if world.tokens:
        user = next(p for p in world.people if p.id == actor.id)
        token = draw(st.sampled_from(world.tokens))
        invitation_accept(user=user, token=token, ip="", request_id="")


def change(world: World, actor: Actor, account: AccountInfo, draw: Draw) -> None:
    staff_role_set(
        actor=actor,
        account_id=account.id,
        user_id=draw(st.sampled_from(world.people)).id,
        role=_role(account, draw),
        environments=_place(world, account, draw),
    )


def remove(world: World, actor: Actor, account: AccountInfo, draw: Draw) -> None:
    user_id = draw(st.sampled_from(world.people)).id
    staff_remove(actor=actor, account_id=account.id, user_id=user_id)


def compose(world: World, actor: Actor, account: AccountInfo, draw: Draw) -> None:
    del world
    name = draw(st.sampled_from(["A", "B"]))
    role_create(actor=actor, account_id=account.id, name=name, permissions=_names(draw))


def recompose(world: World, actor: Actor, account: AccountInfo, draw: Draw) -> None:
    del world
    with unscoped("test"):
        row = Role.objects.order_by("name", "id").first()
    if row is not None:
        role_update(
            actor=actor,
            account_id=account.id,
            role_id=row.id,
            name=row.name,
            permissions=_names(draw),
        )


def discard(world: World, actor: Actor, account: AccountInfo, draw: Draw) -> None:
    del world
    with unscoped("test"):
        row = Role.objects.filter(account_id=account.id).first()
    if row is not None:
        role_delete(
            actor=actor, account_id=account.id, role_id=row.id, move_to=_role(account, draw)
        )


def look(world: World, actor: Actor, account: AccountInfo, draw: Draw) -> None:
    del account
    delegation_start(
        actor=actor,
        account_id=draw(st.sampled_from(world.accounts)).id,
        reason="a reason of its own",
        ticket="T-1",
        minutes=5,
    )


def end(world: World, actor: Actor, account: AccountInfo, draw: Draw) -> None:
    del world, account, draw
    with unscoped("test"):
        row = DelegatedAccess.objects.filter(ended_at=None).first()
    if row is not None:
        delegation_end(actor=actor, delegation_id=row.id)


def grant(world: World, actor: Actor, account: AccountInfo, draw: Draw) -> None:
    del account
    delegation_grant_create(
        actor=actor,
        grantee_id=draw(st.sampled_from(world.accounts)).id,
        permissions=_names(draw),
        ends_at=now() + timedelta(days=1),
    )


ACTIONS: Final = (
    invite, accept, accept, change, remove, compose, recompose, discard, look, end, grant,
)  # fmt: skip


def _happens(action: Callable[[], None]) -> bool:
    try:
        with transaction.atomic():
            action()
    except QCloudError:
        return False
    return True


def _inviter(world: World, account: AccountInfo) -> frozenset[Permission]:
    """What the inviter of the invitation that was accepted last has now."""
    with unscoped("test"):
        row = Invitation.objects.filter(account_id=account.id, accepted_at__isnull=False).latest(
            "accepted_at"
        )
        home = Account.objects.get(id=row.inviter_account_id)
    person = next(i for i, p in enumerate(world.people) if p.id == row.invited_by)
    actor = world.actor(person, home.slug)
    assert actor is not None
    return actor.permissions


def _check_gains(world: World, before: Rights, after: Rights, action: Any, actor: Actor) -> None:
    by_slug = {account.slug: account for account in world.accounts}
    for (person, slug), (now_has, limit, is_guest) in after.items():
        had, old_limit, was_guest = before.get((person, slug), (frozenset(), frozenset(), False))
        account = by_slug[slug]
        assert now_has <= TIER_PERMISSIONS[account.tier]
        if is_guest:
            base = ROLES[account.tier][RoleName.VIEWER]
            assert not now_has & NEVER_DELEGATED
            if not was_guest and Permission.PULSE_OBJECT_READ in now_has:
                assert _granted(account)
            assert {p for p in now_has - base if not p.endswith(":read")} <= _granted(account)
            continue
        gained = now_has - had
        if action is accept:
            assert not gained or gained <= _inviter(world, account)
        else:
            assert not gained or gained <= actor.permissions, (action, slug, gained)
        if limit is not None:
            assert now_has <= LIMITABLE
        elif old_limit is not None and old_limit and action is not accept:
            assert actor.environments is None


def _granted(account: AccountInfo) -> frozenset[Permission]:
    rows = [g for g in delegation_grants(account.scope) if g.is_in_force]
    return frozenset[Permission]().union(*(g.permissions for g in rows))


def _check_walls(world: World) -> None:
    """Whoever acts, as staff or guest, sees its account's subtree, and its environments."""
    for person in range(PEOPLE):
        for account in world.accounts:
            actor = world.actor(person, account.slug)
            if actor is None or actor.scope is None:
                continue
            if actor.delegation is not None:
                home = actor.delegation.home.path
                assert account.path.startswith(home)
                assert account.path != home
            below = {a.id for a in world.accounts if a.path.startswith(account.path)}
            own = set(world.places.get(account.slug, []))
            seen = own if actor.environments is None else own & actor.environments
            with scoped(actor.scope):
                assert set(Account.objects.values_list("id", flat=True)) == below
                assert set(Environment.objects.values_list("id", flat=True)) == seen
                members = Membership.objects.values_list("account_id", flat=True)
                assert set(members) <= {account.id}


def _check_owners(world: World) -> None:
    with unscoped("test"):
        owners = Membership.objects.filter(role=RoleName.OWNER, environments__isnull=True)
        assert set(owners.values_list("account_id", flat=True)) == {a.id for a in world.accounts}


@pytest.mark.django_db
@pytest.mark.timeout(600)
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    resellers=st.integers(1, 2),
    customers=st.lists(st.integers(0, 10), min_size=1, max_size=2),
    roles=st.lists(st.sampled_from(list(RoleName)), min_size=2, max_size=3),
    data=st.data(),
)
def test_no_sequence_of_allowed_actions_gives_what_the_grantor_lacked(
    resellers: int, customers: list[int], roles: list[RoleName], data: st.DataObject
) -> None:
    with forgotten():
        world = build(resellers, customers, roles)
        for _ in range(data.draw(st.integers(4, 12), label="steps")):
            _step(world, data)
        _check_walls(world)
        _check_owners(world)


def _step(world: World, data: st.DataObject) -> None:
    before = world.rights()
    person, slug = data.draw(st.sampled_from(sorted(before)), label="who acts where")
    actor = world.actor(person, slug)
    assert actor is not None
    account = next(a for a in world.accounts if a.slug == slug)
    action = data.draw(st.sampled_from(ACTIONS), label="action")
    # Sometimes at another account than the one that the person acts for.
    at = data.draw(st.sampled_from([account, account, account, *world.accounts]), label="at")
    if _happens(lambda: action(world, actor, at, data.draw)):
        _check_gains(world, before, world.rights(), action, actor)
    else:
        assert world.rights() == before
