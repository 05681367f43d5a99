"""Every field of the forms about people and accounts, with what nobody should type."""

from __future__ import annotations

import pytest
from django.test import Client

from identity.models import Account, Brand, Invitation, Membership, Role
from identity.selectors import delegations
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person
from tests.portal.conftest import sign_in

pytestmark = pytest.mark.django_db

HOSTILE = (
    "<script>alert(1)</script>",
    "\0",
    "a\0b",
    "\u202egnp.exe",
    "x" * 10_000,
    "=cmd|'/c calc'!A0",
    "{{ 7 * 7 }}{% csrf_token %}",
    "'; DROP TABLE identity_account; --",
    "9" * 40,
    "-1",
    "NaN",
    "00000000-0000-0000-0000-000000000000",
    "2026-13-45",
    "\n\r\n Bcc: a@b.example",
)


@pytest.fixture
def forms(
    cloud_admin: Person,
    reseller_owner: Person,
    customer_owner: Person,
    customer_viewer: Person,
    other_customer_owner: Person,
) -> dict[str, tuple[Person, dict[str, str]]]:
    """By address: who posts, and what is right but for what is spoilt."""
    below = f"/r/north/customers/{customer_owner.account.id}"
    foreign = str(other_customer_owner.account.id)
    return {
        "/c/acme/staff": (
            customer_owner,
            {"email": "", "name": "N", "role": "", "limit": "some", "environment": foreign},
        ),
        f"/c/acme/staff/{customer_viewer.user.id}": (
            customer_owner,
            {"role": "", "limit": "some", "environment": foreign},
        ),
        f"/c/acme/staff/{customer_viewer.user.id}/remove": (customer_owner, {"confirm": ""}),
        "/c/acme/roles": (
            customer_owner,
            {"name": "owner", "description": "d", "permission": "root"},
        ),
        "/c/acme/settings/account/profile": (customer_owner, {"name": "", "timezone": ""}),
        "/c/acme/settings/account/networks": (customer_owner, {"networks": "x"}),
        "/c/acme/delegated/grants": (
            customer_owner,
            {"grantee": foreign, "ends": "x", "permission": "root", "reason": ""},
        ),
        "/r/north/customers": (
            reseller_owner,
            {"name": "", "slug": "", "currency": "", "timezone": "", "email": "",
             "owner_name": "", "parent": foreign, "tier": "cloud"},
        ),
        "/admin/accounts": (
            cloud_admin,
            {"name": "", "slug": "", "currency": "", "timezone": "", "email": "",
             "owner_name": "", "parent": foreign, "tier": "cloud"},
        ),
        below: (reseller_owner, {"name": "", "timezone": ""}),
        f"{below}/quotas": (reseller_owner, {"staff": "x", "agents": "-1", "accounts": "1"}),
        f"{below}/networks": (reseller_owner, {"networks": "x"}),
        f"{below}/suspend": (reseller_owner, {"reason": "r", "confirm": ""}),
        f"{below}/close": (reseller_owner, {"reason": "r", "confirm": ""}),
        f"{below}/view": (reseller_owner, {"reason": "", "ticket": "", "minutes": ""}),
        "/r/north/settings/branding": (
            reseller_owner,
            {"product": "", "accent_light": "", "accent_dark": "x", "sender": "", "host": ""},
        ),
    }  # fmt: skip


def state() -> list[object]:
    """All that these forms could change."""
    with unscoped("test"):
        return [
            list(model.objects.order_by("id").values())
            for model in (Account, Brand, Invitation, Membership, Role)
        ]


def test_no_field_of_any_form_breaks_a_page_or_leaves_half_a_change(
    forms: dict[str, tuple[Person, dict[str, str]]], customer_owner: Person
) -> None:
    clients: dict[str, Client] = {}
    before = state()
    for path, (person, form) in forms.items():
        client = clients.setdefault(person.email, sign_in(person))
        spoilt = [(text[:30], dict.fromkeys(form, text)) for text in HOSTILE]
        spoilt += [(field, form | {field: "a\0b"}) for field in form]
        for what, posted in spoilt:
            answer = client.post(path, posted)
            where = f"{path} {what!r}"
            # What means nothing to change is answered like a change; that nothing was is below.
            assert answer.status_code in {302, 403, 404, 409, 413, 422}, where
            assert "<script>alert(1)" not in answer.content.decode(), where
    assert state() == before
    assert delegations(customer_owner.scope) == []


@pytest.mark.parametrize("page", ["staff", "roles", "access", "delegated", "customers"])
def test_no_parameter_of_a_list_breaks_it(reseller_owner: Person, page: str) -> None:
    client = sign_in(reseller_owner)
    names = ("q", "sort", "after", "peek", "state", "dialog", "export")
    for text in HOSTILE[:5]:
        answer = client.get(f"/r/north/{page}", dict.fromkeys(names, text))
        assert answer.status_code in {200, 400, 404, 422}, text[:30]
        assert b"<script>alert(1)" not in answer.content, text[:30]
    for name in names:
        answer = client.get(f"/r/north/{page}", {name: "a\0b"})
        assert answer.status_code in {200, 400, 404, 422}, name
