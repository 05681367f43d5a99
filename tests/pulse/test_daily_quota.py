"""The quota of events a day, from those above an account to the answer that an agent gets."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from fleet.selectors import AgentIdentity
from identity.models import Account
from pulse.errors import OverDailyQuota
from pulse.ingest.daily import LONGEST_WAIT, REFRESH_SECONDS, DailyQuotas
from pulse.ingest.fleet import FleetGateway
from pulse.ingest.gateway import Allowance
from pulse.ingest.settings import IngestSettings
from pulse.loader.loader import Loader
from pulse.spool.folder import SpoolFolder
from pulse.store.client import Store
from pulse.tables.taken import EventsTaken
from pulse.taken import forget_old_days, note_taken, taken_today
from qcloud.kernel.clock import now
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person
from tests.pulse.door import Sender, Somebody, Tokens, door
from tests.pulse.lines import event, lines

database = pytest.mark.django_db(transaction=True)


def allowance(limit: int, used: int, holder: UUID | None = None) -> Allowance:
    return Allowance(holder or new_id(), limit, used, "Hansa")


def test_what_was_taken_since_the_last_look_comes_on_top() -> None:
    moment, asked = 0.0, 0
    me, neighbour, holder = Somebody(), Somebody(), new_id()
    told = allowance(10, 6, holder)

    async def ask(_who: object) -> tuple[Allowance, ...]:
        nonlocal asked
        asked += 1
        return (told,)

    async def play() -> None:
        nonlocal moment, told
        quotas = DailyQuotas(ask, lambda: moment)
        await quotas.check(me)
        await quotas.check(neighbour)
        quotas.took(me.account_id, 3)
        await quotas.check(me)
        quotas.took(neighbour.account_id, 1)
        # They share it: the last one went to the neighbour.
        with pytest.raises(OverDailyQuota) as refused:
            await quotas.check(me)
        assert asked == 2
        assert "Hansa can raise the quota" in refused.value.message
        assert 1 <= refused.value.data["retry_after"] <= LONGEST_WAIT
        told = allowance(20, 10, holder)
        moment = REFRESH_SECONDS + 0.1
        await quotas.check(me)
        assert asked == 3

    asyncio.run(play())


def test_midnight_ends_the_day_for_who_comes_back_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An agent is told to come at midnight; what was known a second before is of yesterday."""
    midnight = now().replace(hour=0, minute=0, second=0, microsecond=0)
    used, moment = 10, midnight - timedelta(seconds=1)
    monkeypatch.setattr("pulse.ingest.daily.now", lambda: moment)
    me, holder = Somebody(), new_id()

    async def ask(_who: object) -> tuple[Allowance, ...]:
        return (allowance(10, used, holder),)

    async def play() -> None:
        nonlocal used, moment
        quotas = DailyQuotas(ask, moment.timestamp)
        with pytest.raises(OverDailyQuota) as refused:
            await quotas.check(me)
        used, moment = 0, moment + timedelta(seconds=refused.value.data["retry_after"])
        assert moment == midnight
        await quotas.check(me)

    asyncio.run(play())


def identity_of(person: Person) -> AgentIdentity:
    scope = person.scope
    return AgentIdentity(
        agent_id=new_id(), account_id=scope.account_id, account_path=scope.path,
        account_slug="x", account_tier=scope.tier, environment_id=new_id(),
        environment_slug="prod", replaying=False,
    )  # fmt: skip


@database
def test_an_agent_over_the_quota_is_told_and_loses_nothing(
    spool: SpoolFolder,
    store: Store,
    customer_owner: Person,
    other_customer_owner: Person,
) -> None:
    with unscoped("test"):
        mine = Account.objects.filter(id=customer_owner.account.id)
        mine.update(quota_events=5)
    gateway, me = FleetGateway(), identity_of(customer_owner)
    (own,) = gateway.allowances(me)
    assert (own.limit, own.used) == (5, 0)
    owner = Somebody(account_id=customer_owner.account.id)
    other = Somebody(account_id=other_customer_owner.account.id)
    tokens = Tokens(owner=owner, other=other)
    tokens.limits[owner.account_id] = (own,)
    body = lines(*(event(path=f"/{number}") for number in range(3)))
    with door(IngestSettings(spool=spool.path), tokens) as client:
        sender, neighbour = Sender(client), Sender(client, token="other")
        assert [sender.send(body).status_code for _ in range(2)] == [200, 200]
        refused = sender.send(body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (
            429, "pulse.over_daily_quota",
        )  # fmt: skip
        assert 1 <= int(refused.headers["Retry-After"]) <= LONGEST_WAIT
        assert neighbour.send(body).status_code == 200
    assert Loader(spool, store, linger=0).step() == 9
    assert gateway.allowances(me)[0].used == 6
    assert taken_today([owner.account_id, other.account_id]) == 9
    # A batch that comes again was counted; and with a larger quota it is taken at once.
    with unscoped("test"):
        mine.update(quota_events=10)
    tokens.limits[owner.account_id] = gateway.allowances(me)
    with door(IngestSettings(spool=spool.path), tokens) as client:
        sender.client = client
        assert sender.again(body, 2).status_code == 200
        assert sender.again(body, 3).status_code == 200
    assert Loader(spool, store, linger=0).step() == 3
    assert taken_today([owner.account_id]) == 9


@database
def test_a_reseller_s_quota_counts_its_customers_together(
    customer_owner: Person, reseller_owner: Person
) -> None:
    with unscoped("test"):
        Account.objects.filter(id=reseller_owner.account.id).update(quota_events=100)
        EventsTaken.objects.create(
            account_id=customer_owner.account.id, day=now().date(), events=40
        )
        EventsTaken.objects.create(
            account_id=customer_owner.account.id, day=now().date() - timedelta(days=1), events=7
        )
        EventsTaken.objects.create(account_id=new_id(), day=now().date(), events=1_000)
    found = FleetGateway().allowances(identity_of(customer_owner))
    holders = {a.holder_id: (a.limit, a.used) for a in found}
    assert holders[reseller_owner.account.id] == (100, 40)
    with unscoped("test"):
        EventsTaken.objects.filter(events=7).update(day=now().date() - timedelta(days=41))
        note_taken([])
    forget_old_days()
    with unscoped("test"):
        assert sorted(row.events for row in EventsTaken.objects.all()) == [40, 1_000]
