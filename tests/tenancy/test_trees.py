"""Random account trees: no scope sees or reaches anything outside its own subtree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.models import Entry
from audit.selectors import EntryFilter, entries
from fleet.models import Environment
from fleet.selectors import environment, environments
from fleet.services import environment_create
from identity.models import Account
from identity.selectors import AccountInfo, account, children
from identity.services import account_create, account_suspend, platform_create
from qcloud.kernel.errors import Denied, NotFound, QCloudError
from qcloud.kernel.permissions import ROLES, Actor, RoleName
from qcloud.kernel.scope import Tier, scoped

SYSTEM: Final = Actor.system("test")
TREES: Final = st.lists(
    st.tuples(st.sampled_from([Tier.RESELLER, Tier.CUSTOMER]), st.integers(0, 100)), max_size=7
)
"""Accounts in order: a tier, and a number that picks a parent among those that may be one."""
SETTINGS: Final = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@dataclass
class Planted:
    accounts: list[AccountInfo]
    environments: dict[UUID, UUID]
    """By customer."""

    def above(self, info: AccountInfo) -> set[UUID]:
        """The account and its ancestors, by parent, without looking at paths."""
        by_id = {a.id: a for a in self.accounts}
        line = {info.id}
        while info.parent_id is not None:
            info = by_id[info.parent_id]
            line.add(info.id)
        return line

    def below(self, info: AccountInfo) -> set[UUID]:
        return {other.id for other in self.accounts if info.id in self.above(other)}


@contextmanager
def forgotten() -> Iterator[None]:
    """What happens inside is rolled back: examples share one test."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def plant(plan: list[tuple[Tier, int]]) -> Planted:
    root = platform_create(actor=SYSTEM, name="Root", slug="root", currency="EUR", timezone="UTC")
    accounts, places = [root], {}
    for number, (tier, pick) in enumerate(plan):
        parents = {Tier.CLOUD} if tier is Tier.RESELLER else {Tier.CLOUD, Tier.RESELLER}
        fit = [a for a in accounts if a.tier in parents]
        info = _account(tier, f"a{number}", fit[pick % len(fit)].id)
        accounts.append(info)
        if tier is Tier.CUSTOMER:
            made = environment_create(
                actor=Actor.system("test", info.scope), name="Prod", slug="prod"
            )
            places[info.id] = made.id
    return Planted(accounts, places)


def _account(tier: Tier, slug: str, parent_id: UUID, actor: Actor = SYSTEM) -> AccountInfo:
    return account_create(
        actor=actor,
        tier=tier,
        name=slug,
        slug=slug,
        parent_id=parent_id,
        currency="EUR",
        timezone="UTC",
    )


def owner(info: AccountInfo) -> Actor:
    return Actor(
        kind="staff",
        id=None,
        label=f"owner of {info.slug}",
        scope=info.scope,
        permissions=ROLES[info.tier][RoleName.OWNER],
    )


@pytest.mark.django_db
@SETTINGS
@given(TREES)
def test_a_scope_sees_its_subtree_and_nothing_else(plan: list[tuple[Tier, int]]) -> None:
    with forgotten():
        world = plant(plan)
        for info in world.accounts:
            below = world.below(info)
            assert {a.id for a in children(info.scope)} == below - {info.id}
            logged = entries(info.scope, EntryFilter(action="identity.account.create"))
            assert {e.account_id for e in logged.entries} == below
            with scoped(info.scope):
                assert set(Account.objects.values_list("id", flat=True)) == below
                assert set(Entry.objects.values_list("account_id", flat=True)) == below
                own = {world.environments[info.id]} if info.id in world.environments else set()
                assert set(Environment.objects.values_list("id", flat=True)) == own
                assert {e.id for e in environments(info.scope)} == own
                assert _reachable(account, [a.id for a in world.accounts]) == below
                assert _reachable(environment, list(world.environments.values())) == own


def _reachable(get: Any, ids: list[UUID]) -> set[UUID]:
    found = set()
    for one in ids:
        try:
            found.add(get(one).id)
        except NotFound:
            continue
    return found


@pytest.mark.django_db
@SETTINGS
@given(TREES, st.data())
def test_no_owner_changes_what_is_not_strictly_below(
    plan: list[tuple[Tier, int]], data: st.DataObject
) -> None:
    with forgotten():
        world = plant(plan)
        actor_of = data.draw(st.sampled_from(world.accounts), label="actor")
        target = data.draw(st.sampled_from(world.accounts), label="target")
        tier = data.draw(st.sampled_from(list(Tier)), label="tier")
        actor = owner(actor_of)
        inside = target.id in world.below(actor_of)
        fits = (target.tier, tier) in {
            (Tier.CLOUD, Tier.RESELLER),
            (Tier.CLOUD, Tier.CUSTOMER),
            (Tier.RESELLER, Tier.CUSTOMER),
        }
        boss = actor_of.tier is not Tier.CUSTOMER
        assert _happens(lambda: _account(tier, "new", target.id, actor)) == (
            boss and inside and fits
        )
        assert _happens(
            lambda: account_suspend(actor=actor, account_id=target.id, reason="test")
        ) == (boss and inside and target.id != actor_of.id)


def _happens(action: Any) -> bool:
    try:
        with transaction.atomic():
            action()
    except (Denied, NotFound):
        return False
    except QCloudError as error:
        raise AssertionError(error.code) from error
    return True


@pytest.mark.django_db
@SETTINGS
@given(TREES)
def test_raw_writes_reach_only_the_subtree(plan: list[tuple[Tier, int]]) -> None:
    with forgotten():
        world = plant(plan)
        for info in world.accounts:
            with forgotten(), scoped(info.scope), connection.cursor() as cursor:
                cursor.execute("UPDATE identity_account SET name = 'x' RETURNING id")
                assert {row[0] for row in cursor} == world.below(info) - {info.id}
                cursor.execute("UPDATE fleet_environment SET name = 'x' RETURNING account_id")
                assert {row[0] for row in cursor} == {info.id} & world.environments.keys()
