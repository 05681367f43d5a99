"""People join by mail and consent: one link, seven days, one address."""

from __future__ import annotations

import threading
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection

from audit.selectors import EntryFilter, entries
from identity.errors import InvitationClosed, InvitationUnknown
from identity.models import Invitation, User
from identity.selectors import InvitationInfo, actor_for, invitations, staff
from identity.services import (
    account_suspend,
    invitation_accept,
    invitation_accept_new,
    invitation_by_token,
    invitation_resend,
    invitation_revoke,
    role_create,
    role_update,
    staff_remove,
    staff_role_set,
)
from identity.services.invitations import LIFETIME
from notify.models import Delivery
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound, QCloudError
from qcloud.kernel.permissions import Permission
from qcloud.kernel.scope import Tier, scoped, unscoped
from tests.factories.cast import (
    PASSWORD,
    Person,
    accept,
    found,
    hire,
    invite,
    last_token,
    link,
)

SEEN = {"ip": "192.0.2.9", "request_id": "req-accept"}


def team(person: Person) -> dict[str, str]:
    return {s.email: s.role for s in staff(person.scope)}


def asked(owner: Person, role: str = "viewer", email: str = "new@acme.example") -> str:
    invite(owner.account, role, email, owner.actor)
    return last_token()


def states(owner: Person) -> list[tuple[str, str]]:
    return [(i.email, i.state) for i in invitations(owner.scope)]


def logged(owner: Person, action: str = "identity.invitation") -> list[str]:
    page = entries(owner.scope, EntryFilter(action=action, account_id=owner.account.id))
    return [e.action.rpartition(".")[2] for e in page.entries]


def move_back(owner: Person, by: timedelta) -> None:
    with scoped(owner.scope):
        for row in Invitation.objects.filter(accepted_at=None):
            row.expires_at -= by
            row.save()


def test_nobody_works_for_an_account_before_agreeing(customer_owner: Person) -> None:
    token = asked(customer_owner)
    before = len(logged(customer_owner))
    assert team(customer_owner) == {"carla@acme.example": "owner"}
    accept(token, "New Person")
    assert team(customer_owner) == {"carla@acme.example": "owner", "new@acme.example": "viewer"}
    assert logged(customer_owner)[: -before or None] == ["accept"]
    assert states(customer_owner)[0] == ("new@acme.example", "accepted")


def test_the_database_has_no_token(customer_owner: Person) -> None:
    token = asked(customer_owner)
    with unscoped("test"), connection.cursor() as cursor:
        for table in ("identity_invitation", "notify_delivery", "audit_entry", "kernel_outbox"):
            cursor.execute(f"SELECT string_agg(t::text, ' ') FROM {table} t")  # noqa: S608
            assert token not in str(cursor.fetchone()), table


def test_the_mail_goes_to_the_address_once_for_each_sending(customer_owner: Person) -> None:
    info = _sent(customer_owner)
    with unscoped("test"):
        before = Delivery.objects.filter(account_id=customer_owner.account.id).count()
    invitation_resend(
        actor=customer_owner.actor,
        account_id=customer_owner.account.id,
        invitation_id=info.id,
        link=link,
    )
    with unscoped("test"):
        rows = Delivery.objects.filter(account_id=customer_owner.account.id)
        assert rows.count() == before + 1


def _sent(owner: Person, role: str = "viewer") -> InvitationInfo:
    return invite(owner.account, role, "new@acme.example", owner.actor)


def test_a_link_works_once(customer_owner: Person) -> None:
    token = asked(customer_owner)
    accept(token)
    with pytest.raises(InvitationClosed, match="accepted already") as caught:
        invitation_by_token(token)
    assert caught.value.http_status == 410
    with pytest.raises(InvitationClosed):
        invitation_accept_new(token=token, name="Again", password=PASSWORD, **SEEN)


def test_a_link_works_for_seven_days_and_says_when_it_ended(customer_owner: Person) -> None:
    assert timedelta(days=7) == LIFETIME
    token = asked(customer_owner)
    move_back(customer_owner, LIFETIME - timedelta(minutes=1))
    assert invitation_by_token(token).invitation.state == "open"
    move_back(customer_owner, timedelta(minutes=2))
    with pytest.raises(InvitationClosed, match=r"expired on .*carla@acme\.example"):
        invitation_accept_new(token=token, name="Late", password=PASSWORD, **SEEN)
    assert team(customer_owner) == {"carla@acme.example": "owner"}


def test_an_expired_invitation_can_be_sent_again_or_made_anew(customer_owner: Person) -> None:
    info = _sent(customer_owner)
    old = last_token()
    move_back(customer_owner, LIFETIME + timedelta(days=1))
    sent = invitation_resend(
        actor=customer_owner.actor,
        account_id=customer_owner.account.id,
        invitation_id=info.id,
        link=link,
    )
    assert sent.state == "open"
    assert sent.expires_at - now() > timedelta(days=6, hours=23)
    with pytest.raises(InvitationUnknown):
        invitation_by_token(old)
    move_back(customer_owner, LIFETIME + timedelta(days=1))
    _sent(customer_owner)
    assert [state for _, state in states(customer_owner)[:2]] == ["open", "withdrawn"]


def test_a_withdrawn_link_is_void(customer_owner: Person) -> None:
    info, token = _sent(customer_owner), last_token()
    owner, account_id = customer_owner.actor, customer_owner.account.id
    invitation_revoke(actor=owner, account_id=account_id, invitation_id=info.id)
    with pytest.raises(InvitationClosed, match="withdrawn"):
        accept(token)
    with pytest.raises(InvitationClosed):
        invitation_resend(actor=owner, account_id=account_id, invitation_id=info.id, link=link)
    assert logged(customer_owner)[:2] == ["revoke", "create"]


@pytest.mark.django_db
@pytest.mark.parametrize("token", ["", "x", "\0", "a" * 5_000, "../../etc"])
def test_every_unknown_token_has_the_same_answer(token: str) -> None:
    with pytest.raises(InvitationUnknown) as caught:
        invitation_by_token(token)
    assert str(caught.value) == str(InvitationUnknown())


def test_somebody_elses_invitation_is_refused(
    customer_owner: Person, other_customer_owner: Person
) -> None:
    token = asked(customer_owner, "owner")
    with pytest.raises(Denied, match="for another e-mail address") as caught:
        invitation_accept(user=other_customer_owner.user, token=token, **SEEN)
    assert caught.value.code == "identity.invitation_of_another"
    assert "new@acme.example" not in caught.value.message
    assert team(customer_owner) == {"carla@acme.example": "owner"}
    assert states(customer_owner)[0] == ("new@acme.example", "open")


def test_a_known_person_joins_with_the_login_it_has(
    customer_owner: Person, other_customer_owner: Person
) -> None:
    before = other_customer_owner.user.password
    token = asked(customer_owner, email=other_customer_owner.email.upper())
    assert invitation_by_token(token).has_login
    with pytest.raises(Conflict, match="has a login already"):
        invitation_accept_new(token=token, name="Thief", password=PASSWORD, **SEEN)
    invitation_accept(user=other_customer_owner.user, token=token, **SEEN)
    assert team(customer_owner)["bruno@birch.example"] == "viewer"
    with unscoped("test"):
        user = User.objects.get(email="bruno@birch.example")
    assert (user.password, user.name) == (before, "Bruno")


def test_inviting_does_not_tell_who_works_elsewhere(
    customer_owner: Person, other_customer_owner: Person
) -> None:
    known = invite(customer_owner.account, "viewer", other_customer_owner.email,
                   customer_owner.actor)  # fmt: skip
    unknown = _sent(customer_owner)
    told = [
        {k: v for k, v in vars(i).items() if k not in {"id", "email", "sent_at", "expires_at"}}
        for i in (known, unknown)
    ]
    assert told[0] == told[1]


@pytest.mark.parametrize("password", ["short", "password1234", "new@acme.example"])
def test_a_weak_password_joins_nobody(customer_owner: Person, password: str) -> None:
    token = asked(customer_owner)
    with pytest.raises(Invalid):
        invitation_accept_new(token=token, name="New", password=password, **SEEN)
    with unscoped("test"):
        assert not User.objects.filter(email="new@acme.example").exists()
    assert invitation_by_token(token).invitation.state == "open"


def test_nobody_is_invited_twice_or_as_a_member(
    customer_owner: Person, customer_viewer: Person
) -> None:
    _sent(customer_owner)
    with pytest.raises(Conflict, match="invited already"):
        _sent(customer_owner, "owner")
    with pytest.raises(Conflict, match="works for the account already"):
        invite(customer_owner.account, "admin", customer_viewer.email, customer_owner.actor)
    assert states(customer_owner)[0] == ("new@acme.example", "open")


# --- The inviter's rights, asked for again


def _lead(customer_owner: Person, customer_viewer: Person) -> str:
    """A viewer who manages staff; returns the key of its role."""
    role = role_create(
        actor=customer_owner.actor,
        account_id=customer_owner.account.id,
        name="Lead",
        permissions=customer_viewer.actor.permissions | {Permission.IDENTITY_STAFF_WRITE},
    )
    staff_role_set(
        actor=customer_owner.actor,
        account_id=customer_owner.account.id,
        user_id=customer_viewer.user.id,
        role=role.key,
    )
    return role.key


def refused(token: str) -> None:
    with pytest.raises(Denied, match="cannot give this role any more") as caught:
        accept(token)
    assert caught.value.code == "identity.inviter_lacks"


def test_an_inviter_who_lost_the_right_lets_nobody_in(
    customer_owner: Person, customer_viewer: Person
) -> None:
    _lead(customer_owner, customer_viewer)
    invite(customer_owner.account, "viewer", "new@acme.example", customer_viewer.actor)
    token = last_token()
    staff_role_set(
        actor=customer_owner.actor,
        account_id=customer_owner.account.id,
        user_id=customer_viewer.user.id,
        role="viewer",
    )
    refused(token)
    assert "new@acme.example" not in team(customer_owner)
    with unscoped("test"):
        assert not User.objects.filter(email="new@acme.example").exists()


def test_an_inviter_who_left_lets_nobody_in(
    customer_owner: Person, customer_viewer: Person
) -> None:
    _lead(customer_owner, customer_viewer)
    invite(customer_owner.account, "viewer", "new@acme.example", customer_viewer.actor)
    token = last_token()
    staff_remove(
        actor=customer_owner.actor,
        account_id=customer_owner.account.id,
        user_id=customer_viewer.user.id,
    )
    refused(token)


def test_a_role_that_grew_past_its_inviter_lets_nobody_in(
    customer_owner: Person, customer_viewer: Person
) -> None:
    _lead(customer_owner, customer_viewer)
    small = role_create(
        actor=customer_owner.actor,
        account_id=customer_owner.account.id,
        name="Watcher",
        permissions=[Permission.PULSE_TRAFFIC_READ],
    )
    invite(customer_owner.account, small.key, "new@acme.example", customer_viewer.actor)
    token = last_token()
    role_update(
        actor=customer_owner.actor,
        account_id=customer_owner.account.id,
        role_id=UUID(small.key),
        name="Watcher",
        permissions=[Permission.PULSE_TRAFFIC_READ, Permission.BILLING_INVOICE_READ],
    )
    refused(token)


def test_sending_again_makes_one_the_inviter(
    customer_owner: Person, customer_viewer: Person
) -> None:
    _lead(customer_owner, customer_viewer)
    info = invite(customer_owner.account, "viewer", "new@acme.example", customer_viewer.actor)
    staff_remove(
        actor=customer_owner.actor,
        account_id=customer_owner.account.id,
        user_id=customer_viewer.user.id,
    )
    invitation_resend(
        actor=customer_owner.actor,
        account_id=customer_owner.account.id,
        invitation_id=info.id,
        link=link,
    )
    accept(last_token())
    assert team(customer_owner)["new@acme.example"] == "viewer"


def test_nobody_resends_or_withdraws_what_they_could_not_give(
    customer_owner: Person, customer_viewer: Person
) -> None:
    _lead(customer_owner, customer_viewer)
    info = _sent(customer_owner, "owner")
    account_id = customer_owner.account.id
    with pytest.raises(Denied, match="you do not have yourself"):
        invitation_resend(
            actor=customer_viewer.actor, account_id=account_id, invitation_id=info.id, link=link
        )
    with pytest.raises(Denied, match="you do not have yourself"):
        invitation_revoke(actor=customer_viewer.actor, account_id=account_id, invitation_id=info.id)
    assert states(customer_owner)[0] == ("new@acme.example", "open")


def test_nobody_touches_a_foreign_invitation(
    customer_owner: Person, other_customer_owner: Person, reseller_owner: Person
) -> None:
    info = _sent(customer_owner)
    for actor, account in (
        (other_customer_owner.actor, other_customer_owner.account),
        (other_customer_owner.actor, customer_owner.account),
        (reseller_owner.actor, customer_owner.account),
    ):
        with pytest.raises((NotFound, Denied)):
            invitation_revoke(actor=actor, account_id=account.id, invitation_id=info.id)
    assert states(customer_owner)[0] == ("new@acme.example", "open")


def test_nobody_joins_an_account_that_is_not_active(
    reseller_owner: Person, customer_owner: Person
) -> None:
    token = asked(customer_owner)
    account_suspend(
        actor=reseller_owner.actor, account_id=customer_owner.account.id, reason="unpaid"
    )
    with pytest.raises(Conflict, match="suspended"):
        accept(token)
    assert team(customer_owner) == {"carla@acme.example": "owner"}


def test_the_first_owner_is_invited_from_above_and_nobody_after(reseller_owner: Person) -> None:
    account = found(reseller_owner.actor, Tier.CUSTOMER, "fresh")
    info = invite(account, "owner", "first@fresh.example", reseller_owner.actor)
    late = invite(account, "owner", "second@fresh.example", reseller_owner.actor)
    second = last_token()
    invitation_resend(
        actor=reseller_owner.actor, account_id=account.id, invitation_id=info.id, link=link
    )
    user = accept(last_token())
    actor = actor_for(user, "fresh", ip="", request_id="")
    assert actor is not None
    assert actor.role == "owner"
    refused(second)
    with pytest.raises(Denied, match="staff of its own"):
        invitation_revoke(actor=reseller_owner.actor, account_id=account.id, invitation_id=late.id)


@pytest.mark.django_db(transaction=True)
def test_two_clicks_are_one_acceptance(customer_owner: Person) -> None:
    token = asked(customer_owner)
    gate, outcomes = threading.Barrier(2, timeout=10), []

    def go() -> None:
        try:
            gate.wait()
            invitation_accept_new(token=token, name="New", password=PASSWORD, **SEEN)
            outcomes.append("joined")
        except QCloudError as error:
            outcomes.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=go) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(outcomes) == ["identity.invitation_closed", "joined"]
    assert sorted(team(customer_owner).values()) == ["owner", "viewer"]


def test_hire_by_somebody_is_an_invitation(customer_owner: Person) -> None:
    person = hire(customer_owner.account, "editor", "new@acme.example", customer_owner.actor)
    assert person.actor.role == "editor"
    assert logged(customer_owner)[:2] == ["accept", "create"]
