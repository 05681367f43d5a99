"""Quotas: who sets them, who shares them, and that nothing grows past one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.db import connection

from fleet.models import Agent, Environment
from fleet.selectors import registration_by_token
from fleet.services import (
    agent_register,
    agent_remove,
    environment_close,
    environment_create,
    registration_token_create,
)
from identity import policies
from identity.errors import QuotaReached
from identity.models import Account, Invitation, Membership, User
from identity.quotas import Quota, events_limits, sharing
from identity.services import quotas_set
from qcloud.kernel.errors import Denied, Invalid, NotFound
from qcloud.kernel.scope import Tier, unscoped
from qcloud.kernel.settings import store
from tests.factories.cast import Person, accept, found, hire, invite, last_token
from wire.protocol import RegisterRequest


def limit(person: Person, by: Person, **quotas: int | None) -> None:
    quotas_set(
        actor=by.actor,
        account_id=person.account.id,
        quotas={Quota(name): most for name, most in quotas.items()},
    )


def environment(person: Person, slug: str) -> None:
    environment_create(actor=person.actor, name=slug, slug=slug)


def together(*jobs: Callable[[], object]) -> list[str]:
    """All at once, each on a connection of its own: ``ok``, or the code of the refusal."""
    answers = ["" for _ in jobs]
    gate = threading.Barrier(len(jobs))

    def run(number: int, job: Callable[[], object]) -> None:
        gate.wait(10)
        try:
            job()
            answers[number] = "ok"
        except QuotaReached as error:
            answers[number] = error.code
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return sorted(answers)


@pytest.mark.django_db
def test_the_last_place_is_given_and_no_more(
    reseller_owner: Person, customer_owner: Person
) -> None:
    limit(customer_owner, reseller_owner, environments=1)
    environment(customer_owner, "prod")
    with pytest.raises(QuotaReached) as refused:
        environment(customer_owner, "stage")
    assert refused.value.message == (
        "All 1 environments that this account may have are in use (1)."
        " North can raise the quota; or remove some."
    )
    assert refused.value.data == {"quota": "environments", "limit": 1}
    with unscoped("test"):
        assert Environment.objects.count() == 1
        prod = Environment.objects.get().id
    environment_close(actor=customer_owner.actor, environment_id=prod)
    environment(customer_owner, "stage")


@pytest.mark.django_db
def test_a_resellers_customers_share_its_quota_and_do_not_learn_it(
    cloud_admin: Person, reseller_owner: Person, customer_owner: Person
) -> None:
    second = hire(
        found(reseller_owner.actor, Tier.CUSTOMER, "second"),
        "owner",
        "sue@second.example",
        reseller_owner.actor,
    )
    limit(reseller_owner, cloud_admin, environments=2)
    limit(customer_owner, reseller_owner, environments=50)
    environment(customer_owner, "prod")
    environment(second, "prod")
    with pytest.raises(QuotaReached) as refused:
        environment(customer_owner, "stage")
    assert "whoever manages your account" in refused.value.message
    assert refused.value.data["limit"] == 0
    assert "2" not in refused.value.message


@pytest.mark.django_db
def test_another_resellers_quota_is_its_own(
    cloud_admin: Person,
    reseller_owner: Person,
    customer_owner: Person,
    other_customer_owner: Person,
) -> None:
    limit(reseller_owner, cloud_admin, environments=0)
    with pytest.raises(QuotaReached):
        environment(customer_owner, "prod")
    environment(other_customer_owner, "prod")


@pytest.mark.django_db
def test_customers_staff_and_agents_are_limited_alike(
    cloud_admin: Person, reseller_owner: Person, customer_owner: Person
) -> None:
    limit(reseller_owner, cloud_admin, accounts=1)
    with pytest.raises(QuotaReached, match="1 customers"):
        found(reseller_owner.actor, Tier.CUSTOMER, "second")
    limit(customer_owner, reseller_owner, staff=1, agents=1)
    with pytest.raises(QuotaReached, match="1 staff"):
        hire(customer_owner.account, "viewer", "v@acme.example", customer_owner.actor)
    environment(customer_owner, "prod")
    with unscoped("test"):
        prod = Environment.objects.get().id
        assert Account.objects.filter(slug="second").count() == 0
        assert Membership.objects.filter(account_id=customer_owner.account.id).count() == 1
    _, secret = registration_token_create(
        actor=customer_owner.actor, environment_id=prod, name="rack"
    )
    registration = registration_by_token(secret)
    assert registration is not None
    instance = uuid4()
    request = RegisterRequest(instance_id=instance, name="node-1")
    first = agent_register(registration=registration, request=request)
    # An agent that proves who it is takes no second place.
    again = agent_register(
        registration=registration, request=request, previous_agent_token=first.agent_token
    )
    assert again.agent_id == first.agent_id
    with pytest.raises(QuotaReached, match="1 agents"):
        agent_register(
            registration=registration, request=RegisterRequest(instance_id=uuid4(), name="node-2")
        )
    agent_remove(actor=customer_owner.actor, agent_id=first.agent_id)
    agent_register(
        registration=registration, request=RegisterRequest(instance_id=uuid4(), name="node-2")
    )


@pytest.mark.django_db
def test_where_nothing_is_set_the_platforms_default_limits_customers_alone(
    customer_owner: Person, reseller_owner: Person
) -> None:
    with unscoped("test"):
        store(policies.LIMIT_ENVIRONMENTS, 1, by_label="test", by_id=None)
    environment(customer_owner, "prod")
    with pytest.raises(QuotaReached, match="North can raise"):
        environment(customer_owner, "stage")
    limit(customer_owner, reseller_owner, environments=2)
    environment(customer_owner, "stage")
    limit(customer_owner, reseller_owner, environments=None)
    with pytest.raises(QuotaReached):
        environment(customer_owner, "third")


@pytest.mark.django_db
def test_quotas_are_set_from_above_alone(
    reseller_owner: Person, customer_owner: Person, other_reseller_owner: Person
) -> None:
    for person in (customer_owner, other_reseller_owner):
        with pytest.raises(NotFound):
            limit(customer_owner, person, agents=1_000)
    with pytest.raises(NotFound):
        limit(reseller_owner, reseller_owner, agents=1_000)
    support = hire(reseller_owner.account, "support", "s@north.example", reseller_owner.actor)
    with pytest.raises(Denied):
        limit(customer_owner, support, agents=1_000)
    with pytest.raises(Invalid) as refused:
        limit(customer_owner, reseller_owner, agents=-1, accounts=3)
    assert set(refused.value.data["fields"]) == {"agents", "accounts"}
    with unscoped("test"):
        row = Account.objects.get(id=customer_owner.account.id)
    assert (row.quota_agents, row.quota_accounts) == (None, None)


@pytest.mark.django_db
def test_ingest_asks_for_the_events_of_a_day(
    cloud_admin: Person, reseller_owner: Person, customer_owner: Person
) -> None:
    assert events_limits(customer_owner.scope) == ()
    limit(customer_owner, reseller_owner, events=1_000)
    limit(reseller_owner, cloud_admin, events=5_000)
    above, own = events_limits(customer_owner.scope)
    assert [(x.holder_id, x.limit, x.is_own) for x in (above, own)] == [
        (reseller_owner.account.id, 5_000, False),
        (customer_owner.account.id, 1_000, True),
    ]
    assert set(sharing(above)) == {reseller_owner.account.id, customer_owner.account.id}
    assert sharing(own) == [customer_owner.account.id]


@pytest.mark.django_db(transaction=True)
def test_ten_at_once_get_the_three_places_that_there_are(
    reseller_owner: Person, customer_owner: Person
) -> None:
    limit(customer_owner, reseller_owner, environments=3)
    actor = customer_owner.actor
    jobs = [
        lambda n=n: environment_create(actor=actor, name=f"e{n}", slug=f"e{n}") for n in range(10)
    ]
    assert together(*jobs) == ["identity.quota_reached"] * 7 + ["ok"] * 3
    with unscoped("test"):
        assert Environment.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_two_customers_race_for_their_resellers_last_agent(
    cloud_admin: Person, reseller_owner: Person, customer_owner: Person
) -> None:
    second = hire(
        found(reseller_owner.actor, Tier.CUSTOMER, "second"),
        "owner",
        "sue@second.example",
        reseller_owner.actor,
    )
    limit(reseller_owner, cloud_admin, agents=3)
    jobs = []
    for person in (customer_owner, second):
        made = environment_create(actor=person.actor, name="prod", slug="prod")
        _, secret = registration_token_create(
            actor=person.actor, environment_id=made.id, name="rack"
        )
        registration = registration_by_token(secret)
        assert registration is not None
        jobs += [
            lambda r=registration: agent_register(
                registration=r, request=RegisterRequest(instance_id=uuid4(), name="node")
            )
        ] * 4
    assert together(*jobs) == ["identity.quota_reached"] * 5 + ["ok"] * 3
    with unscoped("test"):
        assert Agent.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_three_who_accept_at_once_share_the_one_place_left(
    reseller_owner: Person, customer_owner: Person
) -> None:
    names = ("one", "two", "three")
    tokens = []
    for name in names:
        invite(customer_owner.account, "viewer", f"{name}@acme.example", customer_owner.actor)
        tokens.append(last_token())
    limit(customer_owner, reseller_owner, staff=2)
    jobs = [lambda t=token: accept(t) for token in tokens]
    assert together(*jobs) == ["identity.quota_reached"] * 2 + ["ok"]
    with unscoped("test"):
        members = Membership.objects.filter(account_id=customer_owner.account.id)
        assert members.count() == 2
        # Whoever was refused has no login either, and the invitation stays open.
        assert User.objects.filter(email__in=[f"{n}@acme.example" for n in names]).count() == 1
        assert Invitation.objects.filter(accepted_at=None).count() == 2


@pytest.mark.django_db
def test_the_platform_takes_so_many_accounts_whatever_quotas_allow(
    cloud_admin: Person, reseller_owner: Person
) -> None:
    with unscoped("test"):
        store(policies.LIMIT_PLATFORM, 2, by_label="test", by_id=None)
    last = found(reseller_owner.actor, Tier.CUSTOMER, "last")
    for boss, tier in ((reseller_owner, Tier.CUSTOMER), (cloud_admin, Tier.RESELLER)):
        with pytest.raises(QuotaReached, match="no room for more accounts on this platform"):
            found(boss.actor, tier, "too-many")
    with unscoped("test"):
        assert Account.objects.count() == 3
        Account.objects.filter(id=last.id).update(state="closed")
    found(reseller_owner.actor, Tier.CUSTOMER, "next")
