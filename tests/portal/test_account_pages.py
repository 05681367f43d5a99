"""Accounts, their quotas, networks and lives, and the platform's settings, on pages."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest
from django.test import Client

from identity.models import Account
from qcloud.kernel.models import SettingRow
from qcloud.kernel.scope import Tier, unscoped
from tests.factories.cast import Person, found
from tests.portal.conftest import sign_in

pytestmark = pytest.mark.django_db


def text_of(answer: Any) -> str:
    return unescape(answer.content.decode())


def row(person: Person) -> Account:
    with unscoped("test"):
        found_row: Account = Account.objects.get(id=person.account.id)
    return found_row


def page(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return text_of(answer)


def test_the_tree_is_filtered_sorted_paged_and_exported(
    cloud_admin: Person, reseller_owner: Person
) -> None:
    for number in range(55):
        found(reseller_owner.actor, Tier.CUSTOMER, f"shop-{number:02}")
    client = sign_in(cloud_admin)
    first = page(client, "/admin/accounts")
    assert "50 of 56 accounts" in first
    assert first.index(">North<") < first.index(">Shop 00<") < first.index(">Shop 48<")
    assert "Shop 49" not in first
    cursor = first.split("after=")[1].split('"')[0].split("&")[0]
    second = page(client, f"/admin/accounts?after={cursor}")
    assert "Shop 49" in second
    assert "Shop 48" not in second
    down = page(client, "/admin/accounts?sort=-name&q=shop")
    assert down.index("Shop 54") < down.index("Shop 53")
    assert page(client, "/admin/accounts?f.tier=reseller").count('data-label="Tier"') == 1
    lines = client.get("/admin/accounts?export=csv").getvalue().decode()
    assert lines.count("\r\n") == 57
    assert "shop-54" in lines


def test_an_account_is_renamed_from_above(reseller_owner: Person, customer_owner: Person) -> None:
    client = sign_in(reseller_owner)
    address = f"/r/north/customers/{customer_owner.account.id}"
    answer = client.post(address, {"name": "Acme <b>", "timezone": "UTC"})
    assert (answer.status_code, answer["Location"]) == (302, address)
    assert "Acme &lt;b&gt;" in client.get(address).content.decode()
    refused = client.post(address, {"name": "", "timezone": "UTC"})
    assert refused.status_code == 422
    assert "Between 1 and 100 printable characters." in text_of(refused)
    assert row(customer_owner).name == "Acme <b>"


def test_quotas_are_set_shown_and_refused_by_field(
    reseller_owner: Person, customer_owner: Person
) -> None:
    client = sign_in(reseller_owner)
    address = f"/r/north/customers/{customer_owner.account.id}/quotas"
    assert client.post(address, {"agents": "5", "staff": "1", "events": ""}).status_code == 302
    assert (row(customer_owner).quota_agents, row(customer_owner).quota_staff) == (5, 1)
    shown = page(client, address)
    assert 'value="5"' in shown
    assert "100%" in shown.replace(" ", "")
    refused = client.post(address, {"agents": "many", "staff": "-1"})
    assert refused.status_code == 422
    assert text_of(refused).count('aria-invalid="true"') == 2
    assert row(customer_owner).quota_agents == 5
    # The customer reads its own, and what of it is used.
    own = page(sign_in(customer_owner), "/c/acme/settings/account")
    assert "Whoever manages this account can raise them." in own


def test_closing_asks_for_the_name_a_reason_and_who_it_is(
    reseller_owner: Person, customer_owner: Person
) -> None:
    client = sign_in(reseller_owner)
    place = f"/r/north/customers/{customer_owner.account.id}"
    assert client.post(f"{place}/close", {"confirm": "wrong", "reason": "x"}).status_code == 422
    assert row(customer_owner).state == "active"
    shown = page(client, f"{place}/lifecycle")
    assert 'action="/r/north/customers' in shown
    assert "Close account" in shown
    assert client.post(f"{place}/suspend", {"confirm": "acme", "reason": ""}).status_code == 422
    done = client.post(f"{place}/suspend", {"confirm": "acme", "reason": "unpaid"})
    assert done.status_code == 302
    assert "unpaid" in page(client, f"{place}/lifecycle")


def test_an_account_names_itself_and_its_networks_page_shows_where_one_comes_from(
    customer_owner: Person, customer_viewer: Person
) -> None:
    client = sign_in(customer_owner)
    answer = client.post(
        "/c/acme/settings/account/profile", {"name": "Acme Ltd", "timezone": "Asia/Tokyo"}
    )
    assert answer.status_code == 302
    shown = page(client, "/c/acme/settings/account")
    assert 'value="Acme Ltd"' in shown
    assert "You come from 127.0.0.1" in shown.replace("<code>", "").replace("</code>", "")
    seen = page(sign_in(customer_viewer), "/c/acme/settings/account")
    assert "Your role reads this page." in seen
    assert "Change account" not in seen


def test_settings_say_what_is_in_force_and_where_it_comes_from(
    cloud_admin: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = sign_in(cloud_admin)
    monkeypatch.setenv("QCLOUD_IDENTITY_MFA_RECOVERY_CODES", "8")
    address = "/admin/settings/platform/mfa"
    first = page(client, address)
    assert "Fixed on the server by <code>QCLOUD_IDENTITY_MFA_RECOVERY_CODES" in first
    assert client.post(address, {"identity.mfa.issuer": "Acme Cloud"}).status_code == 302
    second = page(client, address)
    assert f"Set by {cloud_admin.email}" in second
    assert "Default: QCloud." in second
    reset = client.post(f"{address}/reset", {"setting": "identity.mfa.issuer"})
    assert reset.status_code == 302
    with unscoped("test"):
        assert SettingRow.objects.count() == 0


def test_a_wrong_setting_comes_back_with_its_reason_and_what_was_typed(
    cloud_admin: Person,
) -> None:
    refused = sign_in(cloud_admin).post(
        "/admin/settings/platform/limits", {"identity.limit.agents": "a few"}
    )
    assert refused.status_code == 422
    shown = text_of(refused)
    assert "A whole number." in shown
    assert 'value="a few"' in shown


def test_a_stored_password_is_on_no_page(cloud_admin: Person) -> None:
    client = sign_in(cloud_admin)
    refused = client.post(
        "/admin/settings/platform/mail",
        {"notify.mail.password": "hunter2-hunter2", "notify.mail.port": "no port"},
    )
    assert refused.status_code == 422
    assert "hunter2" not in text_of(refused)
    assert "None is stored." in page(client, "/admin/settings/platform/mail")


def test_there_is_no_page_for_a_group_that_is_not(cloud_admin: Person) -> None:
    assert sign_in(cloud_admin).get("/admin/settings/platform/nothing").status_code == 404
