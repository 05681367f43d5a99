"""One login in several accounts: found by any words of their names, with the path above."""

from __future__ import annotations

from identity.selectors import find_memberships
from qcloud.kernel.scope import Tier
from tests.factories.cast import Person, found, hire


def labels(person: Person, text: str = "", limit: int = 20) -> list[tuple[str, tuple[str, ...]]]:
    seats = find_memberships(person.user.id, text, limit)
    return [(seat.account.slug, seat.above) for seat in seats]


def test_accounts_come_provider_first_then_by_name_with_what_is_above(
    cloud_admin: Person, reseller_owner: Person, customer_owner: Person
) -> None:
    for person in (cloud_admin, reseller_owner):
        hire(person.account, "support", customer_owner.email, person.actor)
    assert labels(customer_owner) == [
        ("provider", ()),
        ("north", ("Provider",)),
        ("acme", ("Provider", "North")),
    ]


def test_every_word_counts_and_case_does_not(
    reseller_owner: Person, customer_owner: Person
) -> None:
    for slug in ("acme-labs", "labs"):
        account = found(reseller_owner.actor, Tier.CUSTOMER, slug)
        hire(account, "owner", customer_owner.email, reseller_owner.actor)
    assert [slug for slug, _ in labels(customer_owner, "LABS acme")] == ["acme-labs"]
    assert [slug for slug, _ in labels(customer_owner, "labs")] == ["acme-labs", "labs"]
    assert labels(customer_owner, "%") == []
    assert labels(customer_owner, "_") == []


def test_nobody_finds_an_account_that_they_do_not_work_for(
    customer_owner: Person, other_customer_owner: Person
) -> None:
    assert labels(other_customer_owner, "acme") == []
    assert [slug for slug, _ in labels(customer_owner, "acme")] == ["acme"]


def test_no_more_than_asked_for(reseller_owner: Person, customer_owner: Person) -> None:
    for number in range(3):
        account = found(reseller_owner.actor, Tier.CUSTOMER, f"a-{number}")
        hire(account, "owner", customer_owner.email, reseller_owner.actor)
    assert len(labels(customer_owner, limit=2)) == 2
