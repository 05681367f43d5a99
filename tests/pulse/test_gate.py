"""The tenant's filter in the event store, and the ways around it that the engine knows."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from pulse.store.client import Store
from pulse.store.gate import ask
from qcloud.kernel.scope import Scope, Tier

STRANGER = Scope(uuid4(), f"/{uuid4().hex}/", Tier.CUSTOMER)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count() FROM requests",
        "SELECT count() FROM (SELECT * FROM requests)",
        "SELECT count() FROM requests AS a JOIN requests AS b ON a.request_id = b.request_id",
        "SELECT sum(n) FROM (SELECT 1 AS n FROM requests UNION ALL SELECT 1 FROM requests)",
        "SELECT (SELECT count() FROM requests)",
        "SELECT count() FROM requests WHERE 1 OR 1",
        "SELECT count() FROM requests ARRAY JOIN [1] AS one",
    ],
)
def test_the_filter_holds_wherever_the_table_is_named(store: Store, statement: str) -> None:
    _insert(store)
    assert store.client().command("SELECT count() FROM requests") == 1
    assert [tuple(row) for row in ask(STRANGER, statement, {}, store=store)] == [(0,)]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count() FROM merge(currentDatabase(), 'requests')",
        "SELECT count() FROM requests AS a JOIN merge('qcloud', 'req.*') AS b ON 1 = 1",
        "SELECT account_id FROM mergeTreeIndex('qcloud', 'requests')",
        "SELECT sum(rows) FROM system.parts",
        "SELECT total_rows FROM\n `system`.`tables`",
        "SELECT * FROM information_schema.tables",
        "SELECT count() FROM qcloud.requests",
        "SELECT * FROM remote('127.0.0.1', 'qcloud', 'requests')",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT file('/etc/passwd')",
        "SELECT count() FROM requests_2",
        "SELECT count() FROM rollups_2",
        "SELECT count() FROM rollups AS a JOIN merge('qcloud', 'rol.*') AS b ON 1 = 1",
    ],
)
def test_no_other_source_is_asked_for_a_tenant(store: Store, statement: str) -> None:
    with pytest.raises(ValueError, match="only the tables of events"):
        ask(STRANGER, statement, {}, store=store)


def test_who_is_limited_to_environments_counts_those_alone(store: Store) -> None:
    account, prod, dev = uuid4(), uuid4(), uuid4()
    for place in (prod, dev, dev):
        _insert(store, account, place)

    def counted(*places: UUID) -> int:
        scope = Scope(account, f"/{account.hex}/", Tier.CUSTOMER, frozenset(places))
        return int(ask(scope, "SELECT count() FROM requests", {}, store=store)[0][0])

    assert (counted(prod), counted(dev), counted(prod, dev), counted()) == (1, 2, 3, 0)
    stranger = Scope(uuid4(), "/x/", Tier.CUSTOMER, frozenset({prod}))
    assert ask(stranger, "SELECT count() FROM requests", {}, store=store)[0][0] == 0


def _insert(store: Store, account: UUID | None = None, place: UUID | None = None) -> None:
    store.client().insert(
        "requests",
        [[account or uuid4(), place or uuid4(), datetime.now(UTC), uuid4()]],
        column_names=["account_id", "environment_id", "timestamp", "request_id"],
    )
