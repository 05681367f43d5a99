"""Who creates, suspends and sees which account."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection

from identity.models import Account
from identity.selectors import (
    account,
    account_by_slug,
    actor_for,
    children,
    memberships_of,
    root_account,
    scope_of,
)
from identity.services import (
    account_create,
    account_resume,
    account_suspend,
    platform_create,
)
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound, QCloudError
from qcloud.kernel.permissions import Actor, Permission, require
from qcloud.kernel.scope import Tier, scoped, unscoped
from tests.factories.cast import Person, found, hire


def slugs() -> set[str]:
    with unscoped("test"):
        return set(Account.objects.values_list("slug", flat=True))


def test_the_tree_is_a_path_of_ids(
    cloud_admin: Person, reseller_owner: Person, customer_owner: Person
) -> None:
    cloud, reseller, customer = (
        cloud_admin.account,
        reseller_owner.account,
        customer_owner.account,
    )
    assert cloud.path == f"/{cloud.id.hex}/"
    assert reseller.path == f"{cloud.path}{reseller.id.hex}/"
    assert customer.path == f"{reseller.path}{customer.id.hex}/"
    assert (cloud.parent_id, reseller.parent_id, customer.parent_id) == (
        None,
        cloud.id,
        reseller.id,
    )
    assert (customer.tier, customer.state) == (Tier.CUSTOMER, "active")
    assert (customer.currency, customer.timezone) == ("EUR", "Europe/Berlin")


def test_the_cloud_creates_resellers_and_customers_below_itself_and_resellers(
    cloud_admin: Person, reseller_owner: Person
) -> None:
    direct = found(cloud_admin.actor, Tier.CUSTOMER, "direct")
    assert direct.parent_id == cloud_admin.account.id
    below = account_create(
        actor=cloud_admin.actor,
        tier=Tier.CUSTOMER,
        name="Below",
        slug="below",
        parent_id=reseller_owner.account.id,
        currency="USD",
        timezone="UTC",
    )
    assert below.path.startswith(reseller_owner.account.path)


@pytest.mark.parametrize(
    ("tier", "parent", "error"),
    [
        (Tier.CLOUD, "provider", Denied),
        (Tier.RESELLER, "north", Denied),
        (Tier.RESELLER, "acme", Denied),
        (Tier.CUSTOMER, "acme", Denied),
    ],
)
def test_not_every_tier_goes_below_every_other(
    cloud_admin: Person,
    customer_owner: Person,
    tier: Tier,
    parent: str,
    error: type[QCloudError],
) -> None:
    assert customer_owner.slug == "acme"
    place = account_by_slug(parent)
    assert place is not None
    with pytest.raises(error, match="cannot have"):
        account_create(
            actor=cloud_admin.actor,
            tier=tier,
            name="New",
            slug="new",
            parent_id=place.id,
            currency="EUR",
            timezone="UTC",
        )
    assert "new" not in slugs()


def test_nobody_creates_above_or_beside(
    reseller_owner: Person, other_reseller_owner: Person, cloud_admin: Person
) -> None:
    for parent in (cloud_admin.account.id, other_reseller_owner.account.id, uuid4()):
        with pytest.raises(NotFound):
            account_create(
                actor=reseller_owner.actor,
                tier=Tier.CUSTOMER,
                name="New",
                slug="new",
                parent_id=parent,
                currency="EUR",
                timezone="UTC",
            )
    assert "new" not in slugs()


def test_a_customer_creates_nothing(customer_owner: Person) -> None:
    with pytest.raises(Denied, match="identity:account:create"):
        found(customer_owner.actor, Tier.CUSTOMER, "new")
    assert "new" not in slugs()


def test_a_slug_is_unique_on_the_platform(
    customer_owner: Person, other_reseller_owner: Person
) -> None:
    with pytest.raises(Conflict, match="taken"):
        found(other_reseller_owner.actor, Tier.CUSTOMER, customer_owner.slug)
    assert children(other_reseller_owner.scope) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("slug", "Acme"),
        ("slug", "a--b"),
        ("slug", "-a"),
        ("slug", "a/../b"),
        ("slug", "a" * 41),
        ("slug", ""),
        ("name", " "),
        ("name", "x" * 101),
        ("name", "a\x1b[31m"),
        ("currency", "eur"),
        ("currency", "€"),
        ("timezone", "Mars/Olympus"),
        ("timezone", "../../etc/passwd"),
    ],
)
def test_bad_input_names_the_field(reseller_owner: Person, field: str, value: str) -> None:
    good = {"name": "New", "slug": "new", "currency": "EUR", "timezone": "UTC"}
    with pytest.raises(Invalid) as caught:
        account_create(
            actor=reseller_owner.actor,
            tier=Tier.CUSTOMER,
            parent_id=reseller_owner.account.id,
            **{**good, field: value},
        )
    assert list(caught.value.data["fields"]) == [field]
    assert children(reseller_owner.scope) == []


def test_there_is_one_provider(cloud_admin: Person) -> None:
    make = {"name": "Second", "slug": "second", "currency": "EUR", "timezone": "UTC"}
    with pytest.raises(Conflict, match="already"):
        platform_create(actor=Actor.system("test"), **make)
    with pytest.raises(Denied):
        platform_create(actor=cloud_admin.actor, **make)
    root = root_account()
    assert root is not None
    assert root.id == cloud_admin.account.id


@pytest.mark.parametrize(
    "change",
    [
        "tier = 'cloud'",
        "account_path = '/' || replace(id::text, '-', '') || '/'",
        "account_path = account_path || 'x/'",
        "parent_id = id",
        "account_id = parent_id",
    ],
)
def test_the_database_keeps_the_tree_whole(customer_owner: Person, change: str) -> None:
    with (
        pytest.raises(DatabaseError, match="violates check constraint"),
        unscoped("test"),
        connection.cursor() as cursor,
    ):
        cursor.execute(
            f"UPDATE identity_account SET {change} WHERE id = %s",  # noqa: S608  constants
            [customer_owner.account.id],
        )


# --- Suspension


def test_a_suspended_account_reads_and_changes_nothing(
    reseller_owner: Person, customer_owner: Person
) -> None:
    info = account_suspend(
        actor=reseller_owner.actor, account_id=customer_owner.account.id, reason="unpaid"
    )
    assert info.state == "suspended"
    actor = customer_owner.actor
    require(actor, Permission.PULSE_TRAFFIC_READ)
    with pytest.raises(Denied, match="suspended"):
        require(actor, Permission.FLEET_ENVIRONMENT_WRITE)

    assert (
        account_resume(actor=reseller_owner.actor, account_id=customer_owner.account.id).state
        == "active"
    )
    require(customer_owner.actor, Permission.FLEET_ENVIRONMENT_WRITE)


def test_accounts_below_a_suspended_one_are_suspended_with_it(
    cloud_admin: Person, reseller_owner: Person, customer_owner: Person
) -> None:
    account_suspend(actor=cloud_admin.actor, account_id=reseller_owner.account.id, reason="unpaid")
    require(customer_owner.actor, Permission.PULSE_TRAFFIC_READ)
    with pytest.raises(Denied, match="suspended"):
        require(customer_owner.actor, Permission.FLEET_ENVIRONMENT_WRITE)
    with pytest.raises(Denied, match="suspended"):
        found(reseller_owner.actor, Tier.CUSTOMER, "new")
    with pytest.raises(Denied, match="suspended"):
        account_suspend(
            actor=reseller_owner.actor, account_id=customer_owner.account.id, reason="x"
        )
    with pytest.raises(Conflict, match="is suspended"):
        account_create(
            actor=cloud_admin.actor,
            tier=Tier.CUSTOMER,
            name="New",
            slug="new",
            parent_id=reseller_owner.account.id,
            currency="EUR",
            timezone="UTC",
        )


def test_suspending_needs_a_place_below_a_right_and_a_reason(
    cloud_admin: Person,
    reseller_owner: Person,
    customer_owner: Person,
    other_customer_owner: Person,
) -> None:
    for target in (reseller_owner, cloud_admin, other_customer_owner):
        with pytest.raises(NotFound):
            account_suspend(actor=reseller_owner.actor, account_id=target.account.id, reason="x")
    with pytest.raises(NotFound):
        account_suspend(actor=Actor.system("test"), account_id=cloud_admin.account.id, reason="x")
    with pytest.raises(Denied):
        account_suspend(
            actor=customer_owner.actor, account_id=customer_owner.account.id, reason="x"
        )
    with pytest.raises(Invalid, match="why"):
        account_suspend(
            actor=reseller_owner.actor, account_id=customer_owner.account.id, reason=" "
        )
    with pytest.raises(Conflict, match="is active"):
        account_resume(actor=reseller_owner.actor, account_id=customer_owner.account.id)
    with unscoped("test"):
        assert set(Account.objects.values_list("state", flat=True)) == {"active"}


def test_the_database_lets_nobody_write_their_own_account(
    reseller_owner: Person, customer_owner: Person
) -> None:
    with scoped(customer_owner.scope):
        assert Account.objects.update(name="Mine") == 0
    with scoped(reseller_owner.scope):
        assert Account.objects.update(name="Theirs") == 1
    with unscoped("test"):
        names = dict(Account.objects.values_list("slug", "name"))
    assert names == {"provider": "Provider", "north": "North", "acme": "Theirs"}


# --- Reading


def test_children_are_everybody_below_parents_first(
    cloud_admin: Person,
    reseller_owner: Person,
    customer_owner: Person,
    other_customer_owner: Person,
) -> None:
    found(cloud_admin.actor, Tier.CUSTOMER, "direct")
    assert [i.slug for i in children(cloud_admin.scope)] == [
        "direct",
        "north",
        "acme",
        "south",
        "birch",
    ]
    assert [i.slug for i in children(reseller_owner.scope)] == ["acme"]
    assert children(customer_owner.scope) == []
    assert children(other_customer_owner.scope) == []


def test_an_account_is_found_only_from_above_or_itself(
    reseller_owner: Person, customer_owner: Person, other_customer_owner: Person
) -> None:
    with scoped(reseller_owner.scope):
        assert account(customer_owner.account.id) == customer_owner.account
        assert account(reseller_owner.account.id) == reseller_owner.account
        with pytest.raises(NotFound):
            account(other_customer_owner.account.id)
    with scoped(customer_owner.scope), pytest.raises(NotFound):
        account(reseller_owner.account.id)


def test_a_scope_of_an_unknown_account_is_not_found(customer_owner: Person) -> None:
    assert scope_of(customer_owner.account.id) == customer_owner.scope
    with pytest.raises(NotFound):
        scope_of(uuid4())
    assert account_by_slug("nobody") is None


def test_an_actor_has_the_rights_of_its_role_now(
    customer_owner: Person, customer_viewer: Person
) -> None:
    actor = customer_viewer.actor
    assert (actor.kind, actor.id, actor.label) == (
        "staff",
        customer_viewer.user.id,
        "victor@acme.example",
    )
    assert (actor.role, actor.scope) == ("viewer", customer_owner.scope)
    assert (actor.ip, actor.request_id, actor.suspended) == ("192.0.2.1", "req-test", False)
    assert Permission.PULSE_TRAFFIC_READ in actor.permissions
    assert Permission.FLEET_ENVIRONMENT_WRITE not in actor.permissions


@pytest.mark.parametrize("slug", ["north", "provider", "birch", "nobody", ""])
def test_who_does_not_work_for_an_account_is_no_actor(
    customer_owner: Person, other_customer_owner: Person, slug: str
) -> None:
    assert other_customer_owner.slug == "birch"
    assert actor_for(customer_owner.user, slug, ip="", request_id="") is None


def test_an_inactive_person_is_no_actor(customer_owner: Person) -> None:
    customer_owner.user.is_active = False
    assert actor_for(customer_owner.user, "acme", ip="", request_id="") is None


def test_one_login_in_several_accounts(
    customer_owner: Person, reseller_owner: Person, make_joint: Callable[[], Person]
) -> None:
    joint = make_joint()
    assert [(m.account.slug, m.role) for m in memberships_of(joint.user.id)] == [
        ("north", "support"),
        ("acme", "viewer"),
    ]
    assert [m.account.slug for m in memberships_of(customer_owner.user.id)] == ["acme"]
    assert [m.account.slug for m in memberships_of(reseller_owner.user.id)] == ["north"]


@pytest.fixture
def make_joint(reseller_owner: Person, customer_owner: Person) -> Callable[[], Person]:
    def make() -> Person:
        hire(customer_owner.account, "viewer", "jo@joint.example", customer_owner.actor)
        return hire(reseller_owner.account, "support", "jo@joint.example", reseller_owner.actor)

    return make
