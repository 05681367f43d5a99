"""Usage: counted from the events, by hour, and seen by those above."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from pulse.analytics import totals
from pulse.ingest.settings import IngestSettings
from pulse.loader.loader import Loader
from pulse.metering import event_filter_for, recompute_touched, recompute_usage, usage_hours
from pulse.models import TouchedHour
from pulse.spool.folder import SpoolFolder
from pulse.store.client import Store
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person
from tests.pulse.door import Sender, Somebody, Tokens, door
from tests.pulse.lines import NOON, event, lines
from wire.events import Direction, RequestEvent

pytestmark = pytest.mark.django_db(transaction=True)

DAY = (NOON.replace(hour=0), NOON.replace(hour=0) + timedelta(days=1))


def send(
    spool: SpoolFolder, store: Store, person: Person, place: UUID, *events: RequestEvent
) -> None:
    agent = Somebody(account_id=person.account.id, environment_id=place)
    with door(IngestSettings(spool=spool.path), Tokens(owner=agent)) as client:
        assert Sender(client).send(lines(*events)).status_code == 200
    loader = Loader(spool, store, linger=0)
    loader.recover()
    assert loader.step() == len(events)


def test_hours_are_counted_from_the_events(
    spool: SpoolFolder,
    store: Store,
    customer_owner: Person,
    other_customer_owner: Person,
    reseller_owner: Person,
) -> None:
    place = new_id()
    huge = 2**63 - 1
    send(
        spool, store, customer_owner, place,
        event(bytes_sent=huge), event(bytes_sent=huge, bytes_received=1),
        event(direction=Direction.INGRESS), event(timestamp=NOON + timedelta(hours=1)),
    )  # fmt: skip
    send(spool, store, other_customer_owner, new_id(), event())
    assert recompute_touched(store=store) == 3
    assert recompute_touched(store=store) == 0
    first, second = usage_hours(customer_owner.scope, *DAY)
    assert (first.hour, first.environment_id, first.requests) == (NOON, place, 3)
    assert (first.requests_ingress, first.requests_egress_external) == (1, 2)
    assert (first.bytes_sent, first.bytes_received) == (2 * huge, 1)
    assert (second.hour, second.requests) == (NOON + timedelta(hours=1), 1)
    assert [row.requests for row in usage_hours(other_customer_owner.scope, *DAY)] == [1]
    seen = {row.account_id for row in usage_hours(reseller_owner.scope, *DAY)}
    assert customer_owner.account.id in seen
    assert (
        totals(customer_owner.scope, event_filter_for(first), store=store).requests
        == first.requests
    )


def test_a_recount_replaces_and_never_adds(
    spool: SpoolFolder, store: Store, customer_owner: Person
) -> None:
    place = new_id()
    send(spool, store, customer_owner, place, event())
    recompute_touched(store=store)
    send(spool, store, customer_owner, place, event())
    recompute_touched(store=store)
    assert recompute_usage(customer_owner.account.id, *DAY, store=store) == 1
    assert [row.requests for row in usage_hours(customer_owner.scope, *DAY)] == [2]


def test_an_hour_whose_events_are_gone_counts_zero(
    spool: SpoolFolder, store: Store, customer_owner: Person
) -> None:
    send(spool, store, customer_owner, new_id(), event())
    recompute_touched(store=store)
    store.client().command("TRUNCATE TABLE requests")
    assert recompute_usage(customer_owner.account.id, *DAY, store=store) == 0
    assert [row.requests for row in usage_hours(customer_owner.scope, *DAY)] == [0]


def test_events_of_no_account_do_not_stop_the_others(
    spool: SpoolFolder, store: Store, customer_owner: Person
) -> None:
    with unscoped("test"):
        TouchedHour.objects.create(account_id=new_id(), environment_id=new_id(), hour=NOON)
    send(spool, store, customer_owner, new_id(), event())
    assert recompute_touched(store=store) == 1
    assert [row.requests for row in usage_hours(customer_owner.scope, *DAY)] == [1]
