"""The outbox: in the caller's transaction, in order, at least once, nobody passed over."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import connection

from qcloud.kernel.ids import new_id
from qcloud.kernel.models import OutboxMessage
from qcloud.kernel.outbox import consume, publish
from qcloud.kernel.scope import Scope, Tier, scoped, unscoped

pytestmark = pytest.mark.django_db(transaction=True)


def read(consumer: str, *topics: str, count: int = 0) -> list[str]:
    """What a consumer gets, until it is ``count`` messages.

    A reader stops before the oldest transaction that runs anywhere on the server, and beside
    this test others run theirs.
    """
    seen: list[str] = []
    deadline = time.monotonic() + 90
    while True:
        consume(consumer, topics, lambda message: seen.append(message.payload["name"]))
        if len(seen) >= count or time.monotonic() > deadline:
            return seen
        time.sleep(0.05)


def test_each_consumer_reads_each_message_once_in_order() -> None:
    for name in ("one", "two", "three"):
        publish("a.b.c", {"name": name}, account_id=None)
    assert read("first", "a.b.c", count=3) == ["one", "two", "three"]
    assert read("first", "a.b.c") == []
    assert read("second", "a.b.c", count=3) == ["one", "two", "three"]


def test_a_tenant_can_publish_and_not_read() -> None:
    account = new_id()
    with scoped(Scope(account, f"/{account.hex}/", Tier.CUSTOMER)):
        publish("a.b.c", {"name": "mine"}, account_id=account)
        assert OutboxMessage.objects.count() == 0
    assert read("first", "a.b.c", count=1) == ["mine"]


def test_a_rolled_back_change_tells_nothing() -> None:
    def change_and_fail() -> None:
        with unscoped("test"):
            publish("a.b.c", {"name": "never"}, account_id=None)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change_and_fail()
    assert read("first", "a.b.c") == []


def test_a_failing_handler_sees_the_messages_again() -> None:
    publish("a.b.c", {"name": "one"}, account_id=None)

    def fail(_message: OutboxMessage) -> None:
        raise ZeroDivisionError

    assert read("second", "a.b.c", count=1) == ["one"]
    with pytest.raises(ZeroDivisionError):
        consume("first", ["a.b.c"], fail)
    assert read("first", "a.b.c", count=1) == ["one"]


def test_other_topics_are_left_alone() -> None:
    publish("a.b.c", {"name": "one"}, account_id=None)
    publish("x.y.z", {"name": "two"}, account_id=None)
    assert read("first", "x.y.z", count=1) == ["two"]


def test_a_message_that_commits_late_is_not_passed_over() -> None:
    """The slow transaction takes its number first and commits last."""
    written, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        with unscoped("test"):
            publish("a.b.c", {"name": "slow"}, account_id=None)
            written.set()
            assert go_on.wait(10)
        connection.close()

    thread = threading.Thread(target=slow)
    thread.start()
    assert written.wait(10)
    publish("a.b.c", {"name": "fast"}, account_id=None)
    early = read("first", "a.b.c")
    go_on.set()
    thread.join(10)
    assert early == []
    assert read("first", "a.b.c", count=2) == ["slow", "fast"]
