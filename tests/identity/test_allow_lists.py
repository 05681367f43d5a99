"""From which networks an account's portal is entered."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.test import Client

from audit.selectors import EntryFilter, entries
from identity.models import Account
from identity.selectors import account_by_slug
from identity.services import allow_list_set
from qcloud import account as account_command
from qcloud.cli import _parser
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Denied, Invalid, NotFound, StepUpNeeded
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person
from tests.portal.conftest import sign_in

pytestmark = pytest.mark.django_db


def at(person: Person, ip: str) -> Actor:
    return replace(person.actor, ip=ip, proved_at=now())


def listed(person: Person) -> str:
    with unscoped("test"):
        row: Account = Account.objects.get(id=person.account.id)
    return row.allow_list


def put(person: Person, networks: str) -> None:
    with unscoped("test"):
        Account.objects.filter(id=person.account.id).update(allow_list=networks)


@pytest.mark.parametrize("ip", ["192.0.2.77", "2001:db8::77"])
def test_an_owner_sets_a_list_that_contains_its_own_address(
    customer_owner: Person, ip: str
) -> None:
    info = allow_list_set(
        actor=at(customer_owner, ip),
        account_id=customer_owner.account.id,
        networks="192.0.2.0/24, 2001:db8::/48",
    )
    assert info.allow_list == listed(customer_owner) == "192.0.2.0/24\n2001:db8::/48"
    (entry,) = entries(
        customer_owner.scope, EntryFilter(action="identity.account.allow_list_set")
    ).entries
    assert entry.data == {
        "before": {"networks": []},
        "after": {"networks": ["192.0.2.0/24", "2001:db8::/48"]},
    }


@pytest.mark.parametrize("ip", ["198.51.100.1", "2001:db8:ffff::1", "", "unknown"])
def test_a_list_that_would_lock_its_author_out_is_refused(customer_owner: Person, ip: str) -> None:
    with pytest.raises(Invalid) as refused:
        allow_list_set(
            actor=at(customer_owner, ip),
            account_id=customer_owner.account.id,
            networks="192.0.2.0/24 2001:db8::/48",
        )
    assert set(refused.value.data["fields"]) == {"networks"}
    assert listed(customer_owner) == ""


@pytest.mark.parametrize("networks", ["192.0.2.1/24", "example.org", "999.1.1.1", "::/129"])
def test_what_is_no_network_is_refused(customer_owner: Person, networks: str) -> None:
    with pytest.raises(Invalid):
        allow_list_set(
            actor=at(customer_owner, "192.0.2.1"),
            account_id=customer_owner.account.id,
            networks=networks,
        )
    assert listed(customer_owner) == ""


def test_who_may_set_it(
    customer_owner: Person,
    customer_viewer: Person,
    reseller_owner: Person,
    other_reseller_owner: Person,
) -> None:
    place = customer_owner.account.id
    for actor, error in (
        (customer_owner.actor, StepUpNeeded),
        (at(customer_viewer, "192.0.2.1"), Denied),
        (at(other_reseller_owner, "192.0.2.1"), NotFound),
    ):
        with pytest.raises(error):
            allow_list_set(actor=actor, account_id=place, networks="")
    # Whoever helps from above does not lock itself out, wherever it sits.
    put(customer_owner, "203.0.113.0/24")
    allow_list_set(actor=at(reseller_owner, "198.51.100.9"), account_id=place, networks="")
    assert listed(customer_owner) == ""


def test_the_door_lets_in_who_comes_from_the_list_and_journals_who_does_not(
    customer_owner: Person,
) -> None:
    client = sign_in(customer_owner)
    put(customer_owner, "192.0.2.0/24\n2001:db8::/48")
    address = f"/c/{customer_owner.slug}/environments"
    assert client.get(address, REMOTE_ADDR="192.0.2.9").status_code == 200
    assert client.get(address, REMOTE_ADDR="2001:db8::9").status_code == 200
    refused = client.get(address, REMOTE_ADDR="198.51.100.9")
    assert refused.status_code == 403
    assert "cannot be entered from 198.51.100.9" in refused.content.decode()
    (entry,) = entries(customer_owner.scope, EntryFilter(action="portal.page.enter")).entries
    assert (entry.outcome, entry.ip, entry.data["code"], entry.actor_label) == (
        "denied",
        "198.51.100.9",
        "identity.wrong_network",
        customer_owner.email,
    )


def test_a_header_does_not_bring_anybody_in(customer_owner: Person) -> None:
    client = sign_in(customer_owner)
    put(customer_owner, "192.0.2.0/24")
    answer = client.get(
        f"/c/{customer_owner.slug}/environments",
        REMOTE_ADDR="198.51.100.9",
        headers={"x-forwarded-for": "192.0.2.9"},
    )
    assert answer.status_code == 403


def test_the_list_of_one_account_is_no_other_accounts(
    customer_owner: Person, reseller_owner: Person
) -> None:
    put(customer_owner, "203.0.113.0/24")
    client: Client = sign_in(reseller_owner)
    assert client.get(f"/r/{reseller_owner.slug}/audit").status_code == 200
    found = account_by_slug(reseller_owner.slug)
    assert found is not None
    assert found.admits("")


def test_ipv4_inside_ipv6_is_ipv4(customer_owner: Person) -> None:
    """A web server on a socket of both families names visitors like this."""
    client = sign_in(customer_owner)
    put(customer_owner, "192.0.2.0/24")
    path = f"/c/{customer_owner.slug}/environments"
    assert client.get(path, REMOTE_ADDR="::ffff:192.0.2.9").status_code == 200
    assert client.get(path, REMOTE_ADDR="::ffff:198.51.100.9").status_code == 403
    for network in ("::ffff:192.0.2.0/120", "::ffff:c000:209"):
        with pytest.raises(Invalid, match="not changed") as refused:
            allow_list_set(
                actor=at(customer_owner, "192.0.2.9"),
                account_id=customer_owner.account.id,
                networks=f"192.0.2.0/24 {network}",
            )
        assert "IPv4 in disguise" in refused.value.data["fields"]["networks"]
    assert listed(customer_owner) == "192.0.2.0/24"


@pytest.mark.parametrize("whose", ["cloud_admin", "customer_owner"])
def test_an_operator_on_the_server_clears_a_list_that_locks_everybody_out(
    whose: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    person: Person = request.getfixturevalue(whose)
    put(person, "203.0.113.0/24")
    arguments = ["account", "allow-list", person.slug]
    parser = _parser()
    assert account_command.main(parser.parse_args(arguments)) == 0
    assert capsys.readouterr().out == "203.0.113.0/24\n"
    assert listed(person) == "203.0.113.0/24"
    assert account_command.main(parser.parse_args([*arguments, "--clear"])) == 0
    assert capsys.readouterr().out == (
        f"{person.account.name} is entered from everywhere. It was:\n203.0.113.0/24\n"
    )
    assert listed(person) == ""
    (entry,) = entries(person.scope, EntryFilter(action="identity.account.allow_list_set")).entries
    assert entry.actor_label.startswith("qcloud account (")
    assert entry.data["before"] == {"networks": ["203.0.113.0/24"]}


def test_an_operator_who_mistypes_the_name_changes_nothing(
    customer_owner: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    put(customer_owner, "203.0.113.0/24")
    parsed = _parser().parse_args(["account", "allow-list", "--clear", "acmee"])
    assert account_command.main(parsed) == 1
    assert "no account with the short name 'acmee'" in capsys.readouterr().err
    assert listed(customer_owner) == "203.0.113.0/24"
