"""A registration token copied again: by whom, and never unnoticed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from audit.models import Entry
from fleet.models import RegistrationToken
from fleet.selectors import EnvironmentInfo, registration_by_token, registration_tokens
from fleet.services import registration_token_reveal, registration_token_revoke
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, NotFound, StepUpNeeded
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person, hire

pytestmark = pytest.mark.django_db(transaction=True)


def fresh(person: Person) -> Actor:
    return replace(person.actor, proved_at=now())


def entries() -> list[Any]:
    with unscoped("test"):
        return list(Entry.objects.filter(action="fleet.token.reveal"))


def token_id(person: Person, environment: EnvironmentInfo) -> Any:
    return registration_tokens(person.scope, environment.id)[0].id


def test_the_same_token_and_a_journal_entry_without_it(
    customer_owner: Person, production: EnvironmentInfo, token: str
) -> None:
    wanted = token_id(customer_owner, production)
    assert registration_token_reveal(actor=fresh(customer_owner), token_id=wanted) == token
    assert registration_by_token(token) is not None
    (entry,) = entries()
    assert (entry.object_id, entry.outcome) == (str(wanted), "allowed")
    assert entry.data == {"name": "nodes", "last_four": token[-4:]}
    assert token not in str(entry.__dict__)


def test_who_may_not(
    customer_owner: Person,
    customer_viewer: Person,
    customer_teammate: Person,
    other_customer_owner: Person,
    production: EnvironmentInfo,
    token: str,
) -> None:
    wanted = token_id(customer_owner, production)
    for person in (customer_viewer, customer_teammate):
        with pytest.raises(Denied):
            registration_token_reveal(actor=fresh(person), token_id=wanted)
    long_ago = now() - timedelta(minutes=6)
    for actor in (customer_owner.actor, replace(customer_owner.actor, proved_at=long_ago)):
        with pytest.raises(StepUpNeeded):
            registration_token_reveal(actor=actor, token_id=wanted)
    for actor, row in ((fresh(other_customer_owner), wanted), (fresh(customer_owner), uuid4())):
        with pytest.raises(NotFound):
            registration_token_reveal(actor=actor, token_id=row)
    assert entries() == []
    assert len(token) > 40
    admin = hire(customer_owner.account, "admin", "alex@acme.example", customer_owner.actor)
    assert registration_token_reveal(actor=fresh(admin), token_id=wanted) == token


def test_a_revoked_one_and_one_from_before_sealing(
    customer_owner: Person, production: EnvironmentInfo, token: str
) -> None:
    wanted = token_id(customer_owner, production)
    with unscoped("test"):
        RegistrationToken.objects.filter(id=wanted).update(token=None)
    with pytest.raises(Conflict, match="shown once and not kept"):
        registration_token_reveal(actor=fresh(customer_owner), token_id=wanted)
    assert registration_by_token(token) is not None, "it works all the same"
    registration_token_revoke(actor=customer_owner.actor, token_id=wanted)
    with pytest.raises(Conflict, match="revoked"):
        registration_token_reveal(actor=fresh(customer_owner), token_id=wanted)
    assert entries() == []
