"""Frozen usage: the same for ever, and broken chains are seen."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection

from pulse.metering import (
    broken_freezes,
    freeze_usage,
    recompute_usage,
    usage_freeze,
    usage_hours,
)
from pulse.models import TouchedHour
from pulse.store.client import Store
from pulse.tables.frozen import UsageFreeze
from qcloud.kernel.errors import NotFound
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person
from tests.pulse.lines import NOON, event, lines
from tests.pulse.loaded import load_frames
from tests.pulse.test_block import frame

pytestmark = pytest.mark.django_db(transaction=True)
END = NOON + timedelta(days=1)


def load(store: Store, owner: Person, count: int) -> None:
    account, where = owner.account.id, new_id()
    body = lines(*(event(path=f"/{i}", bytes_sent=5) for i in range(count)))
    load_frames(store, [frame(body, account_id=account, environment_id=where)])
    with unscoped("test"):
        TouchedHour.objects.create(account_id=account, environment_id=where, hour=NOON)


def test_what_was_billed_stays_as_it_was(
    store: Store, customer_owner: Person, reseller_owner: Person, other_customer_owner: Person
) -> None:
    account = customer_owner.account.id
    load(store, customer_owner, 3)
    first = freeze_usage(account, NOON, END, reference="invoice-1", store=store)
    assert (first.number, first.hours, first.previous, first.holds) == (1, 1, "", True)
    assert (first.total("requests"), first.total("bytes_sent")) == (3, 15)
    load(store, customer_owner, 4)
    assert freeze_usage(account, NOON, END, reference="invoice-1", store=store) == first
    second = freeze_usage(account, NOON, END, reference="invoice-2", store=store)
    assert (second.total("requests"), second.previous) == (7, first.digest)
    # The events expire, and their usage is counted again: the invoice can still be explained.
    store.client().command("TRUNCATE TABLE requests")
    recompute_usage(account, NOON, END, store=store)
    assert sum(row.requests for row in usage_hours(customer_owner.scope, NOON, END)) == 0
    for reader in (customer_owner, reseller_owner):
        assert usage_freeze(reader.scope, "invoice-1", account_id=account) == first
        assert broken_freezes(reader.scope, account) == []
    with pytest.raises(NotFound):
        usage_freeze(other_customer_owner.scope, "invoice-1", account_id=account)


@pytest.mark.parametrize("change", ["SET document = ''", "SET digest = repeat('0', 64)"])
def test_the_database_lets_nobody_change_it(
    store: Store, customer_owner: Person, change: str
) -> None:
    load(store, customer_owner, 1)
    freeze_usage(customer_owner.account.id, NOON, END, reference="a", store=store)
    with pytest.raises(DatabaseError, match="permission denied"), unscoped("test"):
        UsageFreeze.objects.update(reference="b")
    with pytest.raises(DatabaseError, match="permission denied"), unscoped("test"):
        UsageFreeze.objects.all().delete()
    with unscoped("test"), connection.cursor() as cursor, pytest.raises(DatabaseError):
        cursor.execute(f"UPDATE pulse_usagefreeze {change}")


def test_a_chain_that_was_touched_is_seen(store: Store, customer_owner: Person) -> None:
    account = customer_owner.account.id
    for number in range(3):
        load(store, customer_owner, 1)
        freeze_usage(account, NOON, END, reference=f"invoice-{number}", store=store)
    with unscoped("test"):
        third = UsageFreeze.objects.get(account_id=account, number=3)
        third.id, third.number, third.reference = new_id(), 4, "forged"
        third.document = third.document.replace(",1,", ",9,")
        third.save(force_insert=True)
    assert broken_freezes(customer_owner.scope, account) == [4]
