"""Roles that accounts compose, limits to environments, and that changes hold at once."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from fleet.services import environment_create
from identity.selectors import RoleInfo, roles, staff
from identity.services import role_create, role_delete, role_update, staff_role_set
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound
from qcloud.kernel.permissions import LIMITABLE, ROLES, Permission, RoleName
from qcloud.kernel.scope import Tier
from tests.factories.cast import Person, invite

TRAFFIC = Permission.PULSE_TRAFFIC_READ


def compose(by: Person, name: str = "Watcher", *permissions: Permission, **more: str) -> RoleInfo:
    return role_create(
        actor=by.actor,
        account_id=by.account.id,
        name=name,
        permissions=permissions or (TRAFFIC,),
        **more,
    )


def give(by: Person, to: Person, role: str, *environments: UUID) -> None:
    staff_role_set(
        actor=by.actor,
        account_id=by.account.id,
        user_id=to.user.id,
        role=role,
        environments=environments or None,
    )


def own(person: Person) -> dict[str, int]:
    return {r.name: r.holders for r in roles(person.scope) if not r.built_in}


def test_a_composed_role_gives_what_it_says(
    customer_owner: Person, customer_viewer: Person
) -> None:
    made = compose(customer_owner, "Watcher", TRAFFIC, Permission.PULSE_REQUEST_READ)
    give(customer_owner, customer_viewer, made.key)
    assert customer_viewer.actor.permissions == {TRAFFIC, Permission.PULSE_REQUEST_READ}
    assert customer_viewer.actor.role == "Watcher"
    assert own(customer_owner) == {"Watcher": 1}


def test_a_change_of_a_role_holds_from_the_next_request(
    customer_owner: Person, customer_viewer: Person
) -> None:
    made = compose(customer_owner)
    give(customer_owner, customer_viewer, made.key)
    role_update(
        actor=customer_owner.actor,
        account_id=customer_owner.account.id,
        role_id=UUID(made.key),
        name="Watcher",
        permissions=[Permission.PULSE_VENDOR_READ],
    )
    assert customer_viewer.actor.permissions == {Permission.PULSE_VENDOR_READ}


@pytest.mark.parametrize(
    "name", ["", " ", "x" * 61, "a\nb", "a\0b", "a\u200bb", "Owner", " viewer ", "GUEST"]
)
def test_names_are_checked(customer_owner: Person, name: str) -> None:
    with pytest.raises(Invalid) as caught:
        compose(customer_owner, name)
    assert "name" in caught.value.data["fields"]
    assert own(customer_owner) == {}


def test_names_are_unique_whatever_the_case_in_their_account_alone(
    customer_owner: Person, other_customer_owner: Person
) -> None:
    compose(customer_owner, "On Call")
    with pytest.raises(Conflict, match="already"):
        compose(customer_owner, "ON CALL")
    compose(other_customer_owner, "On Call")
    assert own(customer_owner) == {"On Call": 0}


def test_markup_in_a_name_is_text(customer_owner: Person) -> None:
    made = compose(customer_owner, "<script>alert(1)</script>")
    assert made.name == "<script>alert(1)</script>"


@pytest.mark.parametrize("permission", ["billing:book:write", "qcloud:settings:write", "x", ""])
def test_no_role_reaches_past_its_tiers_ceiling(customer_owner: Person, permission: str) -> None:
    with pytest.raises(Invalid) as caught:
        role_create(
            actor=customer_owner.actor,
            account_id=customer_owner.account.id,
            name="Too much",
            permissions=[TRAFFIC, permission],
        )
    assert "permissions" in caught.value.data["fields"]


def test_nobody_composes_edits_or_deletes_what_they_lack(
    customer_owner: Person, customer_viewer: Person
) -> None:
    lead = compose(
        customer_owner, "Lead", TRAFFIC, Permission.IDENTITY_ROLE_WRITE,
        Permission.IDENTITY_STAFF_WRITE,
    )  # fmt: skip
    strong = compose(customer_owner, "Strong", TRAFFIC, Permission.PULSE_OBJECT_READ)
    give(customer_owner, customer_viewer, lead.key)
    with pytest.raises(Denied, match="you do not have yourself"):
        compose(customer_viewer, "Mine", Permission.PULSE_OBJECT_READ)
    change = {"actor": customer_viewer.actor, "account_id": customer_owner.account.id}
    for key, wanted in ((lead.key, Permission.PULSE_OBJECT_READ), (strong.key, TRAFFIC)):
        with pytest.raises(Denied, match="you do not have yourself"):
            role_update(**change, role_id=UUID(key), name="New", permissions=[wanted])  # type: ignore[arg-type]
    with pytest.raises(Denied, match="you do not have yourself"):
        role_delete(**change, role_id=UUID(strong.key))  # type: ignore[arg-type]
    with pytest.raises(Denied, match="you do not have yourself"):
        invite(customer_owner.account, strong.key, "n@acme.example", customer_viewer.actor)
    assert own(customer_owner) == {"Lead": 1, "Strong": 0}


def test_a_role_in_use_goes_only_when_its_holders_are_moved(
    customer_owner: Person, customer_viewer: Person
) -> None:
    made = compose(customer_owner)
    give(customer_owner, customer_viewer, made.key)
    invite(customer_owner.account, made.key, "asked@acme.example", customer_owner.actor)
    gone = {"actor": customer_owner.actor, "account_id": customer_owner.account.id}
    with pytest.raises(Conflict, match=r"victor@acme\.example, asked@acme\.example \(invited\)"):
        role_delete(**gone, role_id=UUID(made.key))  # type: ignore[arg-type]
    with pytest.raises(Invalid, match="owners are made one by one"):
        role_delete(**gone, role_id=UUID(made.key), move_to="owner")  # type: ignore[arg-type]
    assert own(customer_owner) == {"Watcher": 1}
    role_delete(**gone, role_id=UUID(made.key), move_to="viewer")  # type: ignore[arg-type]
    assert own(customer_owner) == {}
    assert customer_viewer.actor.role == "viewer"


def test_a_foreign_role_is_none(
    customer_owner: Person, other_customer_owner: Person, customer_viewer: Person
) -> None:
    foreign = compose(other_customer_owner)
    with pytest.raises(Invalid, match="There is no role"):
        give(customer_owner, customer_viewer, foreign.key)
    with pytest.raises(NotFound):
        role_delete(
            actor=customer_owner.actor,
            account_id=customer_owner.account.id,
            role_id=UUID(foreign.key),
        )
    assert own(other_customer_owner) == {"Watcher": 0}


def test_a_limited_role_gives_only_what_concerns_environments(
    customer_owner: Person, customer_viewer: Person
) -> None:
    prod = environment_create(actor=customer_owner.actor, name="Prod", slug="prod")
    give(customer_owner, customer_viewer, "admin", prod.id)
    actor = customer_viewer.actor
    assert actor.permissions == ROLES[Tier.CUSTOMER][RoleName.ADMIN] & LIMITABLE
    assert actor.environments == frozenset({prod.id})
    [row] = [s for s in staff(customer_owner.scope) if s.user_id == customer_viewer.user.id]
    assert row.environments == frozenset({prod.id})


def test_owners_and_sellers_are_never_limited(
    customer_owner: Person, customer_viewer: Person, reseller_owner: Person
) -> None:
    with pytest.raises(Invalid, match="whole account"):
        give(customer_owner, customer_viewer, "owner", uuid4())
    with pytest.raises(Invalid, match="Only customers"):
        give(reseller_owner, reseller_owner, "admin", uuid4())
