"""The tenant gate: what is open, for how long, and that forgetting it raises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace

import pytest
from django.db import connection, transaction
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from qcloud.kernel.errors import ScopeMissing
from qcloud.kernel.ids import new_id
from qcloud.kernel.models import OutboxMessage
from qcloud.kernel.scope import Scope, Tier, current_scope, is_open, scoped, unscoped

pytestmark = pytest.mark.django_db(transaction=True)


def a_scope(tier: Tier = Tier.CUSTOMER) -> Scope:
    account = new_id()
    return Scope(account, f"/{new_id().hex}/{account.hex}/", tier)


def database_settings() -> tuple[str, str, str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(current_setting('qcloud.mode', true), ''),"
            " coalesce(current_setting('qcloud.account', true), ''),"
            " coalesce(current_setting('qcloud.path', true), '')"
        )
        mode, account, path = cursor.fetchone()
    return mode, account, path


def settings_of(scope: Scope) -> tuple[str, str, str]:
    return "tenant", str(scope.account_id), scope.path


def test_a_query_without_a_scope_raises() -> None:
    with pytest.raises(ScopeMissing):
        OutboxMessage.objects.count()


def test_a_lazy_queryset_that_outlives_its_scope_raises() -> None:
    with unscoped("test"):
        messages = OutboxMessage.objects.all()
    with pytest.raises(ScopeMissing):
        list(messages)


def test_saving_without_a_scope_raises() -> None:
    with pytest.raises(ScopeMissing):
        OutboxMessage(topic="a.b.c", payload={}).save()


def test_a_scope_sets_the_transaction_and_leaves_nothing_behind() -> None:
    scope = a_scope()
    with scoped(scope):
        assert current_scope() == scope
        assert database_settings() == settings_of(scope)
    assert not is_open()
    assert database_settings() == ("", "", "")


def test_scopes_nest_and_come_back() -> None:
    outer, inner = a_scope(), a_scope()
    with scoped(outer):
        with scoped(inner):
            assert database_settings() == settings_of(inner)
        assert current_scope() == outer
        assert database_settings() == settings_of(outer)
        with unscoped("test"):
            assert database_settings()[0] == "system"
        assert database_settings() == settings_of(outer)


def test_what_only_reads_in_the_scope_that_is_open_asks_the_database_nothing_more() -> None:
    scope = a_scope()
    with scoped(scope), CaptureQueriesContext(connection) as asked:
        with scoped(scope, savepoint=False):
            assert current_scope() == scope
        assert not asked.captured_queries
        with scoped(scope):
            assert database_settings() == settings_of(scope)
        begin, _, end = (query["sql"].split()[0] for query in asked.captured_queries)
        assert (begin, end) == ("SAVEPOINT", "RELEASE")
    with unscoped("test"), CaptureQueriesContext(connection) as asked:
        with unscoped("another reason", savepoint=False):
            pass
        assert not asked.captured_queries
    assert database_settings() == ("", "", "")


def test_what_only_reads_in_another_scope_sees_that_and_gives_it_back() -> None:
    outer, inner = a_scope(), a_scope()
    limited = replace(outer, environments=frozenset({new_id()}))
    with scoped(outer):
        with scoped(inner, savepoint=False):
            assert database_settings() == settings_of(inner)
        assert database_settings() == settings_of(outer)
        with scoped(limited, savepoint=False), connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('qcloud.environments')")
            assert cursor.fetchone() != ("",)
        with unscoped("test", savepoint=False):
            assert database_settings()[0] == "system"
        assert current_scope() == outer
        assert database_settings() == settings_of(outer)


def test_an_error_without_a_savepoint_ends_the_whole_transaction() -> None:
    """What is open afterwards is the outer scope, and nothing can be asked with the inner's."""
    outer = a_scope()
    with scoped(outer):
        with pytest.raises(ZeroDivisionError), unscoped("test", savepoint=False):
            raise ZeroDivisionError
        assert current_scope() == outer
        with pytest.raises(TransactionManagementError):
            database_settings()
    assert not is_open()
    assert database_settings() == ("", "", "")


def test_a_scope_that_was_copied_into_a_thread_is_set_on_its_connection_too() -> None:
    scope = a_scope()

    def read() -> tuple[str, str, str]:
        try:
            with transaction.atomic(), scoped(scope, savepoint=False):
                return database_settings()
        finally:
            connection.close()

    with scoped(scope), ThreadPoolExecutor(1) as pool:
        assert pool.submit(copy_context().run, read).result(10) == settings_of(scope)


def test_an_error_inside_restores_the_outer_scope() -> None:
    outer = a_scope()
    with scoped(outer):
        with pytest.raises(ZeroDivisionError), scoped(a_scope()):
            raise ZeroDivisionError
        assert current_scope() == outer
        assert database_settings() == settings_of(outer)


def test_a_database_error_inside_restores_the_outer_scope() -> None:
    outer = a_scope()
    with scoped(outer):
        with pytest.raises(Exception, match="division by zero"), scoped(a_scope()):
            connection.cursor().execute("SELECT 1/0")
        assert database_settings() == settings_of(outer)


def test_an_error_rolls_back() -> None:
    def change_and_fail() -> None:
        with unscoped("test"):
            OutboxMessage.objects.create(topic="a.b.c", payload={})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change_and_fail()
    with unscoped("test"):
        assert OutboxMessage.objects.count() == 0


def test_system_mode_is_not_a_tenant_scope() -> None:
    with unscoped("test"), pytest.raises(ScopeMissing):
        current_scope()


def test_a_tenant_sees_nothing_of_an_internal_table() -> None:
    with unscoped("test"):
        OutboxMessage.objects.create(topic="a.b.c", payload={})
    with scoped(a_scope(Tier.CLOUD)):
        assert OutboxMessage.objects.count() == 0


def test_a_transaction_without_scope_sees_nothing_even_by_raw_sql() -> None:
    with unscoped("test"):
        OutboxMessage.objects.create(topic="a.b.c", payload={})
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM kernel_outbox")
        assert cursor.fetchone() == (0,)


def test_covers_is_by_whole_ids() -> None:
    scope = a_scope()
    assert scope.covers(scope.path)
    assert scope.covers(f"{scope.path}{new_id().hex}/")
    assert not scope.covers(scope.path[:-1] + "0/")
