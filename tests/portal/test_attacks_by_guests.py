"""What somebody who looks into an account tries next."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from audit.selectors import EntryFilter, entries
from identity.models import SavedView, Session, User
from identity.selectors import actor_for, delegations
from identity.services import delegation_grant_create
from portal.sessions import cookie_name
from qcloud.kernel.clock import now
from qcloud.kernel.permissions import (
    NEVER_DELEGATED,
    ROLES,
    TIER_PERMISSIONS,
    Permission,
    RoleName,
)
from qcloud.kernel.scope import Tier, unscoped
from tests.factories.cast import PASSWORD, Person, hire
from tests.portal.test_delegated_access import _proved, only, started

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


@pytest.fixture
def look(reseller_owner: Person, customer_owner: Person) -> Client:
    return started(reseller_owner, customer_owner)


def test_a_guest_has_no_pages_of_its_own_in_the_account(
    look: Client, reseller_owner: Person, customer_owner: Person
) -> None:
    """Its password, factors, sessions and kept filters are in its own portal."""
    page = look.get("/c/acme/environments").content.decode()
    assert "/c/acme/my/sign-in" not in page
    assert look.get("/c/acme/my/sign-in").status_code == 403
    new = "another correct horse battery"
    for path, form in (
        ("my/sign-in/password", {"present": PASSWORD, "password": new, "again": new}),
        ("my/sign-in/factor/remove", {}),
        ("my/sign-in/end", {}),
        ("views", {"page": "access", "name": "mine", "query": "q=x"}),
    ):
        assert look.post(f"/c/acme/{path}", form).status_code == 403, path
    with unscoped("test"):
        assert User.objects.get(id=reseller_owner.user.id).check_password(PASSWORD)
        assert not SavedView.objects.exists()
        assert Session.objects.filter(user=reseller_owner.user).count() == 2
    assert delegations(customer_owner.scope)[0].is_running


@pytest.mark.parametrize("portal", ["r", "c"])
def test_signing_out_ends_the_look_and_the_session_it_opened(
    look: Client, reseller_owner: Person, customer_owner: Person, portal: str
) -> None:
    assert look.get("/c/acme/environments").status_code == 200
    copied = look.cookies[cookie_name("c")].value
    assert look.post(f"/{portal}/sign-out").status_code == 302
    (ended,) = delegations(customer_owner.scope)
    assert not ended.is_running
    assert ended.ended_by == reseller_owner.email
    thief = Client()
    thief.cookies[cookie_name("c")] = copied
    answer = thief.get("/c/acme/environments")
    assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/c/sign-in")
    (entry,) = entries(customer_owner.scope, EntryFilter(action="identity.delegation.end")).entries
    assert (entry.reason, entry.actor_id) == ("signed out", reseller_owner.user.id)


def test_signing_out_without_a_look_leaves_other_portals_alone(
    cloud_admin: Person, customer_owner: Person, reseller_owner: Person
) -> None:
    running = started(reseller_owner, customer_owner)
    client = only(cloud_admin, "admin")
    assert client.post("/admin/sign-out").status_code == 302
    assert running.get("/c/acme/environments").status_code == 200


def test_from_inside_nobody_looks_further_down(
    cloud_admin: Person, reseller_owner: Person, customer_owner: Person
) -> None:
    client = only(cloud_admin, "admin")
    why = {"reason": "their price book is odd", "ticket": "T-1", "minutes": "20"}
    path = f"/admin/accounts/{reseller_owner.account.id}/view"
    assert client.post(path, why)["Location"] == "/r/north/"
    below = f"/r/north/customers/{customer_owner.account.id}"
    assert client.get(below).status_code == 200
    for verb in ("view", "suspend", "close", "quotas", "networks"):
        form = why | {"confirm": "acme", "networks": "192.0.2.0/24", "staff": "1"}
        assert client.post(f"{below}/{verb}", form).status_code == 403, verb
    assert client.post("/r/north/customers", {"name": "X", "slug": "x"}).status_code == 403
    assert client.post("/r/north/settings/branding", {"product": "X"}).status_code == 403
    assert [d.account_id for d in delegations(cloud_admin.scope)] == [reseller_owner.account.id]


def test_the_widest_grant_is_within_the_ceiling_and_never_lets_a_guest_stay(
    reseller_owner: Person, customer_owner: Person
) -> None:
    widest = TIER_PERMISSIONS[Tier.CUSTOMER] - NEVER_DELEGATED
    delegation_grant_create(
        actor=_proved(customer_owner),
        grantee_id=reseller_owner.account.id,
        permissions=[p.value for p in widest],
        ends_at=now() + timedelta(days=1),
    )
    helper = hire(reseller_owner.account, "support", "sue@north.example", reseller_owner.actor)
    client = started(helper, customer_owner)
    guest = actor_for(helper.user, customer_owner.slug, ip="", request_id="")
    assert guest is not None
    assert guest.permissions == widest
    assert guest.permissions < ROLES[Tier.CUSTOMER][RoleName.OWNER]
    for path, form in (
        ("staff", {"email": "me@north.example", "role": "owner"}),
        ("roles", {"name": "mine", "permission": [Permission.PULSE_TRAFFIC_READ.value]}),
        (
            "delegated/grants",
            {"grantee": str(reseller_owner.account.id), "ends": f"{now():%Y-%m-%d}"},
        ),
    ):
        assert client.post(f"/c/acme/{path}", form).status_code == 403, path
    # Those who do not look have nothing of it.
    assert actor_for(reseller_owner.user, customer_owner.slug, ip="", request_id="") is None


@pytest.mark.parametrize("ends", ["9999-12-31", "0001-01-01", "2026-02-30", "x" * 10_000, ""])
def test_a_grant_with_an_impossible_end_is_refused_beside_its_field(
    reseller_owner: Person, customer_owner: Person, ends: str
) -> None:
    form = {
        "grantee": str(reseller_owner.account.id),
        "ends": ends,
        "permission": [Permission.PULSE_OBJECT_READ.value],
    }
    answer = only(customer_owner, "c").post("/c/acme/delegated/grants", form)
    assert answer.status_code == 422
    assert set(answer.context["failed"].fields) == {"ends_at"}
