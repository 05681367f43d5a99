"""Sessions: bound to a portal, limited in idleness and age, followed in the access log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.contrib.sessions.backends.base import UpdateError
from django.db import DatabaseError, connection

from identity.access import SESSION_END, Visitor
from identity.limits import limits
from identity.models import AccessEvent, Session, Stage
from identity.sessions import SessionStore, sessions_sweep
from qcloud.kernel.clock import now
from qcloud.kernel.scope import scoped, unscoped
from tests.factories.cast import Person


def begun(person: Person, portal: str = "c", **columns: Any) -> str:
    store = SessionStore(portal=portal)
    store.begin(person.user, portal=portal, factor="password", **columns)
    return str(store.session_key)


def shown(key: str, portal: str) -> SessionStore:
    return SessionStore(key, portal, lambda: Visitor("192.0.2.9", "Thief/1", "req-9", portal))


def age(**columns: Any) -> None:
    with unscoped("test"):
        assert Session.objects.update(**columns) == 1


def log(event: str) -> list[tuple[str, str, str]]:
    with unscoped("test"):
        rows = AccessEvent.objects.filter(event=event).order_by("id")
        return [(row.user_name, row.outcome, row.reason) for row in rows]


def test_a_session_is_worth_nothing_in_another_portal(customer_owner: Person) -> None:
    key = begun(customer_owner)
    for portal in ("r", "admin", ""):
        store = shown(key, portal)
        assert store.row is None
        assert store.session_key is None
    assert (
        log("portal_refused")
        == [(customer_owner.email, "denied", "a session of portal “c” was shown to another")] * 3
    )
    row = shown(key, "c").row
    assert row is not None
    assert row.user == customer_owner.user


@pytest.mark.parametrize(("portal", "idle", "absolute"), [("admin", 15, 720), ("c", 60, 1440)])
def test_a_session_ends_by_idleness_and_by_age(
    cloud_admin: Person, portal: str, idle: int, absolute: int
) -> None:
    whole = limits(portal)
    assert (whole.idle, whole.absolute) == (timedelta(minutes=idle), timedelta(minutes=absolute))
    second = timedelta(seconds=2)
    for column, limit, why in (
        ("seen_at", whole.idle, "not used for too long"),
        ("begun_at", whole.absolute, "its time was up"),
    ):
        key = begun(cloud_admin, portal)
        age(**{column: now() - limit + second * 10})
        assert shown(key, portal).row is not None
        age(**{column: now() - limit - second})
        store = shown(key, portal)
        assert store.row is None
        assert store.ended
        assert not SessionStore().exists(key)
        assert log(SESSION_END)[-1] == (cloud_admin.email, "allowed", why)


def test_use_is_written_at_most_every_half_minute(customer_owner: Person) -> None:
    store = shown(begun(customer_owner), "c")
    row = store.row
    assert row is not None
    first = row.seen_at
    store.touch()
    assert row.seen_at == first
    age(seen_at=now() - timedelta(minutes=59))
    later = shown(store.session_key or "", "c")
    later.touch()
    with unscoped("test"):
        assert now() - Session.objects.get().seen_at < timedelta(seconds=5)


def test_each_step_in_changes_the_key_and_only_one_answer_wins(customer_owner: Person) -> None:
    key = begun(customer_owner, stage=Stage.FACTOR)
    first, second = shown(key, "c"), shown(key, "c")
    assert first.row is not None
    assert second.row is not None
    public = first.row.public_id
    row = first.advance(stage=Stage.FULL, factor="totp")
    assert (row.public_id, row.stage, row.factor) == (public, Stage.FULL, "totp")
    assert first.session_key != key
    assert shown(key, "c").row is None
    with pytest.raises(UpdateError):
        second.advance(stage=Stage.FULL, factor="totp")
    with unscoped("test"):
        assert Session.objects.count() == 1


def test_one_query_finds_session_and_person(
    customer_owner: Person, django_assert_num_queries: Any
) -> None:
    key = begun(customer_owner)
    limits("c")
    # The gate's own statements around it: scope, query, scope.
    with django_assert_num_queries(3):
        row = shown(key, "c").row
        assert row is not None
        assert row.user is not None
        assert row.user.email == customer_owner.email


def test_sessions_that_nobody_comes_back_to_are_swept_and_noted(customer_owner: Person) -> None:
    begun(customer_owner)
    assert sessions_sweep() == 0
    age(seen_at=now() - timedelta(hours=2))
    assert sessions_sweep() == 1
    assert log(SESSION_END) == [(customer_owner.email, "allowed", "not used for too long")]


def _refused(statement: str) -> str:
    with pytest.raises(DatabaseError) as caught, unscoped("test"), connection.cursor() as cursor:
        cursor.execute(statement)
    return type(caught.value.__cause__).__name__


def test_the_access_log_can_neither_be_changed_nor_cut(customer_owner: Person) -> None:
    begun(customer_owner)
    age(begun_at=now() - timedelta(hours=25))
    sessions_sweep()
    denied = psycopg.errors.InsufficientPrivilege.__name__
    assert _refused("UPDATE identity_accessevent SET ip = ''") == denied
    assert _refused("DELETE FROM identity_accessevent") == denied
    assert _refused("TRUNCATE identity_accessevent") == denied
    with pytest.raises(DatabaseError), scoped(customer_owner.scope):
        AccessEvent.objects.all().delete()
    assert len(log(SESSION_END)) == 1
