"""The tenant gate: what is open, for how long, and that forgetting it raises."""

from __future__ import annotations

import pytest
from django.db import connection, transaction

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
