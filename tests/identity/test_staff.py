"""Who lets whom work for an account."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, transaction

from identity.models import Membership, User
from identity.selectors import actor_for, staff
from identity.services import role_create, staff_create, staff_remove, staff_role_set
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound, QCloudError, ScopeMissing
from qcloud.kernel.permissions import Actor, Permission
from qcloud.kernel.scope import Tier, scoped, unscoped
from tests.factories.cast import PASSWORD, Person, found, hire


def team(person: Person) -> dict[str, str]:
    return {s.email: s.role for s in staff(person.scope)}


def test_the_system_hires_and_the_person_can_act_at_once(customer_owner: Person) -> None:
    made = staff_create(
        actor=Actor.system("test"),
        account_id=customer_owner.account.id,
        email="  New@Acme.Example ",
        name=" New Person ",
        role="editor",
        password=PASSWORD,
    )
    assert (made.email, made.name, made.role) == ("new@acme.example", "New Person", "editor")
    assert team(customer_owner) == {
        "carla@acme.example": "owner",
        "new@acme.example": "editor",
    }
    with unscoped("test"):
        user = User.objects.get(id=made.user_id)
    actor = actor_for(user, "acme", ip="", request_id="")
    assert actor is not None
    assert Permission.FLEET_ENVIRONMENT_WRITE in actor.permissions


def test_passwords_are_kept_as_argon2(customer_owner: Person) -> None:
    assert customer_owner.user.password.startswith("argon2$argon2id$")
    assert PASSWORD not in customer_owner.user.password


@pytest.mark.parametrize(
    "password", ["short", "password1234", "victoria@acme.example", "12345678901234567890"]
)
def test_weak_passwords_are_refused_with_a_reason(customer_owner: Person, password: str) -> None:
    with pytest.raises(Invalid) as caught:
        staff_create(
            actor=Actor.system("test"),
            account_id=customer_owner.account.id,
            email="victoria@acme.example",
            name="Victoria",
            role="viewer",
            password=password,
        )
    assert caught.value.data["fields"]["password"]
    assert team(customer_owner) == {"carla@acme.example": "owner"}
    with unscoped("test"):
        assert not User.objects.filter(email="victoria@acme.example").exists()


@pytest.mark.parametrize(
    "email",
    [
        "", "x", "a b@c.example", "a@b@c", "x" * 250 + "@a.example", "a\0@b.example",
        '"\x1b[2J"@b.example', '"\x01"@b.example', "a@b.example\nBcc: c@d.example",
    ],
)  # fmt: skip
def test_addresses_are_checked(customer_owner: Person, email: str) -> None:
    with pytest.raises(Invalid, match="not an e-mail address"):
        hire(customer_owner.account, "viewer", email, customer_owner.actor)


def test_an_unknown_role_is_refused(customer_owner: Person) -> None:
    with pytest.raises(Invalid, match="Choose one of: owner"):
        hire(customer_owner.account, "<b>root</b>", "new@acme.example", customer_owner.actor)


def test_only_who_may_manage_staff_hires(
    customer_viewer: Person, customer_teammate: Person
) -> None:
    for person in (customer_viewer, customer_teammate):
        with pytest.raises(Denied, match="identity:staff:write"):
            hire(person.account, "viewer", "new@acme.example", person.actor)
    assert "new@acme.example" not in team(customer_viewer)


def _with_staff_rights(person: Person, owner: Person) -> Actor:
    """A role that the account composed: a viewer that manages staff."""
    role = role_create(
        actor=owner.actor,
        account_id=person.account.id,
        name="Lead",
        permissions=person.actor.permissions | {Permission.IDENTITY_STAFF_WRITE},
    )
    staff_role_set(
        actor=owner.actor, account_id=person.account.id, user_id=person.user.id, role=role.key
    )
    return person.actor


def test_nobody_grants_changes_or_takes_what_they_lack(
    customer_viewer: Person, customer_teammate: Person, customer_owner: Person
) -> None:
    actor = _with_staff_rights(customer_viewer, customer_owner)
    account = customer_viewer.account
    for role in ("owner", "admin", "editor", "billing"):
        with pytest.raises(Denied, match="you do not have yourself"):
            hire(account, role, "new@acme.example", actor)
        with pytest.raises(Denied, match="you do not have yourself"):
            staff_role_set(
                actor=actor, account_id=account.id, user_id=customer_viewer.user.id, role=role
            )
    for person in (customer_owner, customer_teammate):
        with pytest.raises(Denied, match="you do not have yourself"):
            staff_remove(actor=actor, account_id=account.id, user_id=person.user.id)
        with pytest.raises(Denied, match="you do not have yourself"):
            staff_role_set(
                actor=actor, account_id=account.id, user_id=person.user.id, role="viewer"
            )
    assert hire(account, "viewer", "new@acme.example", actor).role == "viewer"
    assert team(customer_owner) == {
        "carla@acme.example": "owner",
        "victor@acme.example": "Lead",
        "tina@acme.example": "editor",
        "new@acme.example": "viewer",
    }


def test_whoever_creates_an_account_names_its_first_owner_and_nobody_after(
    reseller_owner: Person, cloud_admin: Person
) -> None:
    account = found(reseller_owner.actor, Tier.CUSTOMER, "fresh")
    with pytest.raises(Denied, match="must be its owner"):
        hire(account, "viewer", "first@fresh.example", reseller_owner.actor)
    owner = hire(account, "owner", "first@fresh.example", reseller_owner.actor)
    for actor in (reseller_owner.actor, cloud_admin.actor):
        with pytest.raises(Denied, match="staff of its own"):
            hire(account, "owner", "second@fresh.example", actor)
        for change in (
            lambda a=actor: staff_remove(actor=a, account_id=account.id, user_id=owner.user.id),
            lambda a=actor: staff_role_set(
                actor=a, account_id=account.id, user_id=owner.user.id, role="viewer"
            ),
        ):
            with pytest.raises(NotFound):
                change()
    assert team(owner) == {"first@fresh.example": "owner"}


def test_nobody_hires_above_or_beside(
    customer_owner: Person,
    reseller_owner: Person,
    other_reseller_owner: Person,
    other_customer_owner: Person,
) -> None:
    for actor in (customer_owner.actor, other_reseller_owner.actor):
        with pytest.raises((NotFound, Denied)):
            hire(reseller_owner.account, "owner", "mole@evil.example", actor)
    with pytest.raises(NotFound):
        hire(other_customer_owner.account, "owner", "mole@evil.example", reseller_owner.actor)
    with unscoped("test"):
        assert not User.objects.filter(email="mole@evil.example").exists()


def test_nobody_but_the_system_makes_members_without_asking_them(
    customer_owner: Person, reseller_owner: Person, other_customer_owner: Person
) -> None:
    for actor in (customer_owner.actor, reseller_owner.actor):
        with pytest.raises(Denied, match="People join by invitation"):
            staff_create(
                actor=actor,
                account_id=customer_owner.account.id,
                email=other_customer_owner.email,
                name="Impostor",
                role="viewer",
                password="taken over by naming it",
            )
    assert team(customer_owner) == {"carla@acme.example": "owner"}


def test_a_known_person_keeps_name_and_password(
    customer_owner: Person, other_customer_owner: Person
) -> None:
    before = other_customer_owner.user.password
    made = staff_create(
        actor=Actor.system("test"),
        account_id=customer_owner.account.id,
        email=other_customer_owner.email.upper(),
        name="Impostor",
        role="viewer",
        password="taken over by naming it",
    )
    assert (made.user_id, made.name) == (other_customer_owner.user.id, "Bruno")
    with unscoped("test"):
        assert User.objects.get(id=made.user_id).password == before
        assert User.objects.filter(email="bruno@birch.example").count() == 1
    assert team(other_customer_owner) == {"bruno@birch.example": "owner"}


def test_nobody_joins_twice(customer_owner: Person, customer_viewer: Person) -> None:
    with pytest.raises(Conflict, match="already"):
        hire(customer_owner.account, "admin", customer_viewer.email, customer_owner.actor)
    assert team(customer_owner)[customer_viewer.email] == "viewer"


def test_a_change_of_role_holds_from_the_next_request(
    customer_owner: Person, customer_viewer: Person
) -> None:
    changed = staff_role_set(
        actor=customer_owner.actor,
        account_id=customer_owner.account.id,
        user_id=customer_viewer.user.id,
        role="editor",
    )
    assert changed.role == "editor"
    assert Permission.FLEET_ENVIRONMENT_WRITE in customer_viewer.actor.permissions


def test_who_was_removed_is_a_stranger_and_keeps_the_login(stranger: Person) -> None:
    assert actor_for(stranger.user, "acme", ip="", request_id="") is None
    with unscoped("test"):
        assert User.objects.get(id=stranger.user.id).is_active


def test_the_last_owner_cannot_go(customer_owner: Person, customer_viewer: Person) -> None:
    actor, account_id, user_id = (
        customer_owner.actor,
        customer_owner.account.id,
        customer_owner.user.id,
    )
    with pytest.raises(Conflict, match="needs an owner"):
        staff_remove(actor=actor, account_id=account_id, user_id=user_id)
    with pytest.raises(Conflict, match="needs an owner"):
        staff_role_set(actor=actor, account_id=account_id, user_id=user_id, role="admin")
    staff_role_set(
        actor=actor, account_id=account_id, user_id=customer_viewer.user.id, role="owner"
    )
    staff_remove(actor=actor, account_id=account_id, user_id=user_id)
    assert team(customer_viewer) == {"victor@acme.example": "owner"}


@pytest.mark.django_db(transaction=True)
def test_two_owners_cannot_both_go_at_once(customer_owner: Person) -> None:
    second = hire(customer_owner.account, "owner", "olga@acme.example", customer_owner.actor)
    gate, outcomes = threading.Barrier(2, timeout=10), []

    def go(person: Person) -> None:
        actor = person.actor
        try:
            with scoped(person.scope):
                gate.wait()
                staff_remove(actor=actor, account_id=person.account.id, user_id=person.user.id)
            outcomes.append("gone")
        except QCloudError as error:
            outcomes.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=go, args=(p,)) for p in (customer_owner, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(outcomes) == ["gone", "kernel.conflict"]
    assert list(team(customer_owner).values()) == ["owner"]


@pytest.mark.django_db(transaction=True)
def test_two_first_owners_cannot_be_named_at_once(
    reseller_owner: Person, cloud_admin: Person
) -> None:
    account = found(reseller_owner.actor, Tier.CUSTOMER, "fresh")
    gate, outcomes = threading.Barrier(2, timeout=10), []

    def go(by: Person) -> None:
        actor = by.actor
        try:
            gate.wait()
            hire(account, "owner", f"{by.slug}@fresh.example", actor)
            outcomes.append("hired")
        except Denied:
            outcomes.append("denied")
        finally:
            connection.close()

    threads = [threading.Thread(target=go, args=(p,)) for p in (reseller_owner, cloud_admin)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(outcomes) == ["denied", "hired"]
    assert [s.role for s in staff(account.scope)] == ["owner"]


# --- What the database says about people


def test_a_scope_reads_its_own_people_and_writes_nobody(
    customer_owner: Person,
    customer_viewer: Person,
    reseller_owner: Person,
    other_customer_owner: Person,
) -> None:
    assert other_customer_owner.email == "bruno@birch.example"

    def people(person: Person) -> set[str]:
        with scoped(person.scope):
            return set(User.objects.values_list("email", flat=True))

    assert people(customer_owner) == {customer_owner.email, customer_viewer.email}
    assert people(reseller_owner) == {reseller_owner.email}
    with scoped(customer_owner.scope):
        assert User.objects.update(is_active=False) == 0
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM identity_user")
            assert cursor.rowcount == 0
        with pytest.raises(Exception, match="row-level security"), transaction.atomic():
            User(email="x@y.example", name="X").save(force_insert=True)
        assert Membership.objects.count() == 2


@pytest.mark.django_db
def test_people_without_a_scope_raise() -> None:
    with pytest.raises(ScopeMissing):
        User.objects.filter(email="x").first()
