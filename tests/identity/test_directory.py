"""The list of accounts, a page at a time, in every order, under row-level security."""

from __future__ import annotations

import random

import pytest

from identity.directory import (
    SORTS,
    AccountFilter,
    AccountLine,
    account_state,
    accounts_named,
    accounts_page,
    customers_within,
    resellers,
)
from identity.models import Account
from identity.quotas import Quota
from identity.selectors import AccountInfo
from qcloud.kernel.errors import NotFound
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import Scope, Tier, unscoped
from tests.factories.cast import Person

pytestmark = pytest.mark.django_db

NAMES = ("Ash", "ash", "Birch & Co", "Ceder", "Éclair", "Zeder", "ash 2", "Ash")


def plant(parent: AccountInfo, tier: Tier, name: str, number: int) -> Account:
    place = new_id()
    row = Account(
        id=place,
        account_id=place,
        account_path=f"{parent.path}{place.hex}/",
        tier=tier,
        parent_id=parent.id,
        slug=f"{tier}-{number}",
        name=name,
        state=("active", "suspended")[number % 2],
        currency=("EUR", "USD")[number % 2],
        timezone="UTC",
    )
    row.save(force_insert=True)
    return row


@pytest.fixture
def forest(cloud_admin: Person, reseller_owner: Person, other_reseller_owner: Person) -> Scope:
    """Under the provider: customers of its own and of two resellers, names that repeat."""
    order = random.Random(4)  # noqa: S311  the same forest at each run
    with unscoped("test"):
        for number in range(60):
            parent = order.choice([cloud_admin, reseller_owner, other_reseller_owner])
            plant(parent.account, Tier.CUSTOMER, order.choice(NAMES), number)
    return cloud_admin.scope


def every(scope: Scope, sort: str, *, descending: bool, size: int) -> list[AccountLine]:
    lines: list[AccountLine] = []
    cursor = ""
    while True:
        page = accounts_page(scope, sort=sort, descending=descending, cursor=cursor, limit=size)
        assert page.total == 62
        lines += page.lines
        cursor = page.next_cursor
        if not cursor:
            return lines
        assert len(page.lines) == size


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("descending", [False, True])
def test_pages_hold_each_account_once_whatever_the_order(
    forest: Scope, sort: str, *, descending: bool
) -> None:
    whole = every(forest, sort, descending=descending, size=100)
    paged = every(forest, sort, descending=descending, size=7)
    assert [line.info.id for line in paged] == [line.info.id for line in whole]
    assert len({line.info.id for line in paged}) == 62
    with unscoped("test"):
        assert {line.info.id for line in paged} == set(
            Account.objects.exclude(tier=Tier.CLOUD).values_list("id", flat=True)
        )


def test_the_tree_has_each_reseller_followed_by_its_customers(forest: Scope) -> None:
    lines = every(forest, "tree", descending=False, size=100)
    above = None
    for line in lines:
        if line.depth == 0:
            above = line.info
            assert line.info.parent_id == forest.account_id
        else:
            assert above is not None
            assert line.info.parent_id == above.id or _group(lines, line)
    tops = [line.info.name.lower() for line in lines if line.depth == 0]
    assert tops == sorted(tops)


def _group(lines: list[AccountLine], line: AccountLine) -> bool:
    """The last account of depth 0 before the line is its reseller."""
    before = lines[: lines.index(line)]
    return next(b for b in reversed(before) if b.depth == 0).info.id == line.info.parent_id


def test_filters_go_together(forest: Scope, reseller_owner: Person) -> None:
    found = accounts_page(forest, AccountFilter(text="ASH", state="suspended"), limit=100)
    assert found.lines
    assert all(
        "ash" in line.info.name.lower() and line.info.state == "suspended" for line in found.lines
    )
    assert found.total == len(found.lines)
    two = accounts_page(forest, AccountFilter(text="ash 2"), limit=100)
    assert {line.info.name for line in two.lines} <= {"ash 2", "Ash", "ash"}
    assert all("2" in line.info.name + line.info.slug for line in two.lines)
    sellers = accounts_page(forest, AccountFilter(tier="reseller"))
    assert [line.info.slug for line in sellers.lines] == ["north", "south"]
    below = accounts_page(forest, AccountFilter(parent_id=reseller_owner.account.id), limit=100)
    assert {line.info.parent_id for line in below.lines} == {reseller_owner.account.id}
    assert [i.slug for i in resellers(forest, 5)] == ["north", "south"]


def test_like_patterns_are_text(forest: Scope) -> None:
    for text in ("%", "_", "\\", "' OR 1=1"):
        assert accounts_page(forest, AccountFilter(text=text)).total == 0


def test_closed_accounts_are_shown_to_who_asks(forest: Scope, reseller_owner: Person) -> None:
    with unscoped("test"):
        Account.objects.filter(parent_id=reseller_owner.account.id).update(state="closed")
        gone = Account.objects.filter(state="closed").count()
    assert gone > 0
    assert accounts_page(forest).total == 62 - gone
    assert accounts_page(forest, AccountFilter(state="closed")).total == gone


@pytest.mark.parametrize("cursor", ["nonsense", "00000000-0000-0000-0000-000000000000"])
def test_a_cursor_that_leads_nowhere_begins_again(forest: Scope, cursor: str) -> None:
    assert accounts_page(forest, cursor=cursor).lines == accounts_page(forest).lines


def test_a_reseller_sees_its_own_customers_alone(
    forest: Scope, reseller_owner: Person, other_reseller_owner: Person
) -> None:
    own = accounts_page(reseller_owner.scope, sort="name", limit=100)
    assert {line.info.parent_id for line in own.lines} == {reseller_owner.account.id}
    assert {line.depth for line in own.lines} == {0}
    other = accounts_page(other_reseller_owner.scope, sort="name", limit=100)
    foreign = other.lines[0].info.id
    # A cursor of somebody else's account tells nothing and leads to the beginning.
    assert accounts_page(reseller_owner.scope, cursor=str(foreign)).lines == (
        accounts_page(reseller_owner.scope).lines
    )
    assert accounts_named(reseller_owner.scope, [foreign, own.lines[0].info.id]) == {
        own.lines[0].info.id: own.lines[0].info.name
    }
    assert customers_within(reseller_owner.scope, [other_reseller_owner.account.path]) == []
    with pytest.raises(NotFound):
        account_state(reseller_owner.scope, foreign)
    assert accounts_page(forest, AccountFilter(parent_id=foreign)).total == 0


def test_the_state_of_one_account(reseller_owner: Person, customer_owner: Person) -> None:
    found = account_state(reseller_owner.scope, customer_owner.account.id)
    assert (found.info.slug, found.parent_name, found.erase_at) == ("acme", "North", None)
    assert found.quotas == dict.fromkeys(Quota)
    # Who is above an account is not told by its own row.
    assert account_state(customer_owner.scope, customer_owner.account.id).parent_name == ""
