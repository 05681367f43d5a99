"""Exports: every request of the filter once, nobody else's, harmless in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit.selectors import EntryFilter, entries
from notify.selectors import DeliveryFilter, deliveries
from pulse.exports import running
from pulse.exports.filters import restored, stored
from pulse.exports.running import exports_forget, exports_write
from pulse.exports.services import export_create, export_open, export_remove, exports
from pulse.store import pages
from pulse.store.client import Store
from pulse.store.filters import TrafficFilter
from pulse.tables.exports import TrafficExport, TrafficExportPiece
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound
from qcloud.kernel.ids import new_id
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person
from tests.pulse.rows import put

pytestmark = pytest.mark.django_db(transaction=True)
NASTY = '=HYPERLINK("http://x"),\n\'a'


def since() -> datetime:
    return now().replace(microsecond=0) - timedelta(hours=2)


def last_hours() -> TrafficFilter:
    return TrafficFilter(now() - timedelta(hours=3), now() + timedelta(hours=1))


def take(actor: Actor, kind: str, store: Store, chosen: TrafficFilter | None = None) -> bytes:
    asked = export_create(
        actor=actor, chosen=chosen or last_hours(), kind=kind, link="http://x/exports", store=store
    )
    assert exports_write(store=store) == 1
    found, data = export_open(actor=actor, export_id=asked.id)
    content = b"".join(data)
    assert (len(content), found.rows) == (found.size, found.total)
    return content


def rows(content: bytes) -> list[dict[str, str]]:
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


@pytest.fixture
def places(store: Store, customer_owner: Person, other_customer_owner: Person) -> tuple[UUID, UUID]:
    prod, test = new_id(), new_id()
    put(store, customer_owner.account.id, prod, since(), 23, path=lambda i: f"/{i}")
    put(
        store,
        customer_owner.account.id,
        prod,
        since(),
        1,
        path=NASTY,
        host="@SUM(A1)",
        tags="team=shop\ntier=1",
        headers="=cmd: x",
    )
    # The same moment for many: pages must not lose or repeat one.
    put(store, customer_owner.account.id, test, since(), 10, every=timedelta(0), status=500)
    put(store, other_customer_owner.account.id, prod, since(), 5)
    return prod, test


@pytest.mark.parametrize("size", [7, 50_000])
def test_every_request_once_in_both_formats(
    store: Store,
    customer_owner: Person,
    places: tuple[UUID, UUID],
    monkeypatch: pytest.MonkeyPatch,
    size: int,
) -> None:
    monkeypatch.setattr(pages, "PAGE", size)
    actor = customer_owner.actor
    found = rows(take(actor, "csv", store))
    assert len({row["request_id"] for row in found}) == len(found) == 34
    assert {row["environment_id"] for row in found} == {str(place) for place in places}
    (nasty,) = (row for row in found if row["host"] == "'@SUM(A1)")
    assert nasty["path"] == f"'{NASTY}"
    assert (nasty["tags"], nasty["headers"]) == ("team=shop\ntier=1", "'=cmd: x")
    table = pq.read_table(pa.BufferReader(take(actor, "parquet", store)))
    assert sorted(table["request_id"].to_pylist()) == sorted(row["request_id"] for row in found)
    assert table["timestamp"].type == pa.timestamp("us", "UTC")
    assert NASTY in table["path"].to_pylist()
    errors = take(actor, "csv", store, replace(last_hours(), status=500))
    assert len(rows(errors)) == 10


def test_nothing_is_a_file_too(store: Store, customer_owner: Person) -> None:
    assert rows(take(customer_owner.actor, "csv", store)) == []
    empty = take(customer_owner.actor, "parquet", store)
    assert pq.read_table(pa.BufferReader(empty)).num_rows == 0


@pytest.mark.usefixtures("places")
def test_whose_it_is_and_what_is_written_down(
    store: Store,
    customer_owner: Person,
    customer_viewer: Person,
    customer_teammate: Person,
    other_customer_owner: Person,
) -> None:
    chosen = replace(last_hours(), host="api.example.com")
    mine = export_create(
        actor=customer_teammate.actor,
        chosen=chosen,
        kind="csv",
        link="http://x/exports",
        store=store,
    )
    with pytest.raises(Denied):
        export_create(
            actor=customer_viewer.actor,
            chosen=chosen,
            kind="csv",
            link="http://x/exports",
            store=store,
        )
    with pytest.raises(Conflict):
        export_open(actor=customer_teammate.actor, export_id=mine.id)
    exports_write(store=store)
    for change in (export_open, export_remove):
        with pytest.raises(NotFound):
            change(actor=other_customer_owner.actor, export_id=mine.id)
    assert exports(other_customer_owner.scope) == []
    export_open(actor=customer_owner.actor, export_id=mine.id)
    entry = next(
        e
        for e in entries(customer_owner.scope, EntryFilter(action="pulse.export")).entries
        if e.action == "pulse.export.create"
    )
    assert entry.data["requests"] == 33
    assert entry.data["filter"]["host"] == "api.example.com"
    mails, _ = deliveries(customer_owner.scope, DeliveryFilter(kind="mail", text="tina"))
    assert sum("33 requests" in mail.subject for mail in mails) == 1
    export_remove(actor=customer_teammate.actor, export_id=mine.id)
    with unscoped("test"):
        assert not TrafficExportPiece.objects.exists()


def test_limited_to_environments(
    store: Store, customer_owner: Person, places: tuple[UUID, UUID]
) -> None:
    prod, test = places
    whole = customer_owner.actor
    assert whole.scope is not None
    few = replace(whole, scope=replace(whole.scope, environments=frozenset({test})))
    found = rows(take(few, "csv", store))
    assert {row["environment_id"] for row in found} == {str(test)}
    asked_for_more = replace(last_hours(), environments=(prod, test))
    assert {r["environment_id"] for r in rows(take(few, "csv", store, asked_for_more))} == {
        str(test)
    }
    of_all = export_create(
        actor=whole, chosen=last_hours(), kind="csv", link="http://x/exports", store=store
    )
    exports_write(store=store)
    with pytest.raises(NotFound):
        export_open(actor=few, export_id=of_all.id)
    assert of_all.id not in {one.id for one in exports(few.scope)}  # type: ignore[arg-type]
    assert of_all.id in {one.id for one in exports(whole.scope)}


@pytest.mark.usefixtures("places")
def test_bounds_and_a_worker_that_dies(
    store: Store, customer_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = customer_owner.actor
    with monkeypatch.context() as patch:
        patch.setattr("pulse.exports.services.value", lambda _setting: 33)
        with pytest.raises(Invalid, match="34 requests; a file holds at most 33"):
            export_create(
                actor=actor, chosen=last_hours(), kind="csv", link="http://x/exports", store=store
            )
    with pytest.raises(Invalid, match="CSV or Parquet"):
        export_create(
            actor=actor, chosen=last_hours(), kind="xls", link="http://x/exports", store=store
        )
    asked = export_create(
        actor=actor, chosen=last_hours(), kind="csv", link="http://x/exports", store=store
    )

    class Killed(BaseException):
        pass

    def die(*_args: object, **_more: object) -> Iterator[pa.Table]:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(running, "request_pages", die)
        with pytest.raises(Killed):
            exports_write(store=store)
    assert exports_write(store=store) == 0
    with unscoped("test"):
        TrafficExport.objects.update(claimed_at=now() - running.LEASE - timedelta(seconds=1))
    assert exports_write(store=store) == 1
    ((done,), _) = exports(customer_owner.scope), None
    assert (done.id, done.attempt, done.rows) == (asked.id, 2, 34)
    with unscoped("test"):
        TrafficExport.objects.update(expires_at=now() - timedelta(seconds=1))
    with pytest.raises(Conflict):
        export_open(actor=actor, export_id=asked.id)
    assert exports_forget() == 1
    assert exports(customer_owner.scope) == []


@pytest.mark.usefixtures("places")
def test_an_export_that_kills_its_worker_is_given_up(
    store: Store, customer_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would otherwise be taken up for ever, before all that others asked for."""
    asked = export_create(
        actor=customer_owner.actor, chosen=last_hours(), kind="csv", link="", store=store
    )
    tries = 0

    class Killed(BaseException):
        pass

    def die(*_args: object, **_more: object) -> Iterator[pa.Table]:
        nonlocal tries
        tries += 1
        raise Killed

    monkeypatch.setattr(running, "request_pages", die)
    for _ in range(running.ATTEMPTS):
        with pytest.raises(Killed):
            exports_write(store=store)
        with unscoped("test"):
            TrafficExport.objects.update(claimed_at=now() - running.LEASE - timedelta(seconds=1))
    assert exports_write(store=store) == 0
    assert tries == running.ATTEMPTS
    (given_up,) = exports(customer_owner.scope)
    assert (given_up.id, given_up.state, given_up.attempt) == (asked.id, "failed", 5)
    found = entries(customer_owner.scope, EntryFilter(action="pulse.export")).entries
    assert next(e.action for e in found if e.object_id == str(asked.id)) == "pulse.export.fail"
    assert exports_write(store=store) == 0


def test_filters_come_back_as_they_were() -> None:
    chosen = replace(
        last_hours(), host="x", status=0, kept=True, environments=(new_id(),), query="y"
    )
    assert restored(stored(chosen)) == chosen
