"""The page behind an invitation's link."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from audit.selectors import EntryFilter, entries
from identity.selectors import invitations, staff
from identity.services import invitation_revoke
from tests.factories.cast import PASSWORD, Person, invite, last_token
from tests.portal.conftest import sign_in

pytestmark = pytest.mark.django_db(transaction=True)


def asked(owner: Person, email: str = "new@acme.example", role: str = "viewer") -> str:
    invite(owner.account, role, email, owner.actor)
    return reverse("c:invitation", args=[last_token()])


def team(person: Person) -> dict[str, str]:
    return {s.email: s.role for s in staff(person.scope)}


def everything() -> list[Any]:
    """Every row of every table that an acceptance could touch."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('qcloud.mode', 'system', false)")
        found = []
        for table in ("user", "membership", "invitation", "session"):
            cursor.execute(f"SELECT t::text FROM identity_{table} t ORDER BY 1")  # noqa: S608
            found.append(cursor.fetchall())
        cursor.execute("SELECT set_config('qcloud.mode', '', false)")
    return found


def test_looking_changes_nothing(customer_owner: Person) -> None:
    path, before = asked(customer_owner), everything()
    for _ in range(3):
        shown = Client().get(path)
        assert shown.status_code == 200
        assert Client().head(path).status_code == 200
    assert everything() == before
    assert "new@acme.example" in shown.content.decode()
    assert shown["Cache-Control"] == "no-store"
    assert shown["Referrer-Policy"] == "same-origin"


def test_somebody_new_chooses_a_password_and_works_there(customer_owner: Person) -> None:
    path, client = asked(customer_owner), Client()
    weak = client.post(path, {"name": "New", "password": "short"})
    assert weak.status_code == 422
    assert "Too short" in weak.content.decode()
    done = client.post(path, {"name": "New Person", "password": PASSWORD})
    assert (done.status_code, done["Location"]) == (302, "/c/sign-in?next=/c/acme/".replace("/c/acme/", "%2Fc%2Facme%2F"))  # fmt: skip  # noqa: E501
    assert team(customer_owner)["new@acme.example"] == "viewer"
    entered = client.post("/c/sign-in", {"email": "new@acme.example", "password": PASSWORD})
    assert entered.status_code == 302
    assert client.post(path, {"name": "Again", "password": PASSWORD}).status_code == 410


def test_a_known_person_signs_in_and_accepts(
    customer_owner: Person, other_customer_owner: Person
) -> None:
    path = asked(customer_owner, other_customer_owner.email)
    visitor = Client().get(path).content.decode()
    assert "has a login already" in visitor
    assert 'type="password"' not in visitor
    assert Client().post(path, {"name": "X", "password": PASSWORD}).status_code == 409
    assert "bruno@birch.example" not in team(customer_owner)
    client = sign_in(other_customer_owner)
    assert "Accept the invitation" in client.get(path).content.decode()
    done = client.post(path)
    assert (done.status_code, done["Location"]) == (302, "/c/acme/")
    assert team(customer_owner)["bruno@birch.example"] == "viewer"


def test_who_is_invited_may_sign_in_to_a_portal_new_to_them(
    customer_owner: Person, other_reseller_owner: Person
) -> None:
    client = Client()
    form = {"email": other_reseller_owner.email, "password": PASSWORD}
    assert client.post("/c/sign-in", form).status_code == 403
    path = asked(customer_owner, other_reseller_owner.email)
    entered = client.post("/c/sign-in", {**form, "next": path})
    assert entered.status_code == 302


def test_somebody_elses_invitation_is_refused_and_journalled(
    customer_owner: Person, other_customer_owner: Person
) -> None:
    path = asked(customer_owner, role="owner")
    client = sign_in(other_customer_owner)
    for answer in (client.get(path), client.post(path)):
        assert answer.status_code == 403
        text = answer.content.decode()
        assert "for another e-mail address" in text
        assert "new@acme.example" not in text
    assert team(customer_owner) == {"carla@acme.example": "owner"}
    assert invitations(customer_owner.scope)[0].state == "open"
    found = entries(customer_owner.scope, EntryFilter(action="identity.invitation.accept"))
    denied = [e for e in found.entries if e.outcome == "denied"]
    assert [e.actor_label for e in denied] == ["bruno@birch.example"] * 2
    assert path.rpartition("-")[2] not in str(denied)


def test_what_is_over_says_so_and_what_never_was_says_nothing(customer_owner: Person) -> None:
    path = asked(customer_owner)
    info = invitations(customer_owner.scope)[0]
    invitation_revoke(actor=customer_owner.actor, account_id=info.account_id, invitation_id=info.id)
    gone = Client().get(path)
    assert gone.status_code == 410
    assert "withdrawn" in gone.content.decode()
    answers = [Client().get(f"/c/invitation-{token}") for token in ("x", "y" * 43)]
    assert [a.status_code for a in answers] == [404, 404]
    assert "This link is no invitation" in answers[0].content.decode()


def test_an_invitation_is_shown_in_its_own_portal_alone(customer_owner: Person) -> None:
    path = asked(customer_owner)
    token = path.removeprefix("/c/invitation-")
    assert Client().get(f"/r/invitation-{token}").status_code == 404
    assert Client().get(f"/admin/invitation-{token}").status_code == 404


def test_a_forged_form_accepts_nothing(
    customer_owner: Person, other_customer_owner: Person
) -> None:
    path = asked(customer_owner, other_customer_owner.email)
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = sign_in(other_customer_owner).cookies
    assert strict.post(path).status_code == 403
    assert "bruno@birch.example" not in team(customer_owner)
