"""Events of several kinds: a batch of one kind, a table for each, every event once."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import msgspec
import pytest

from agent.uplink.columnar import columns_of
from pulse.erasure import erase
from pulse.ingest.batch import parse_batch
from pulse.ingest.columns import SHAPES
from pulse.ingest.settings import IngestSettings
from pulse.loader.loader import Loader
from pulse.loader.segments import read_segments
from pulse.models import Load, TouchedHour
from pulse.spool.folder import SpoolFolder
from pulse.spool.frames import FrameHeader
from pulse.spool.writer import SpoolWriter
from pulse.store.client import Store
from pulse.store.gate import ask, ask_as_system
from pulse.store.kinds import CLOCK, KINDS, ORIGIN
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import Scope, Tier, unscoped
from tests.pulse.door import Sender, Somebody, Tokens, door
from tests.pulse.lines import NOON, artifact, certificate, dns, event, issue, lines
from wire.events import EVENT_TYPES, KIND_OF, Event
from wire.protocol import COLUMNS_CONTENT_TYPE

database = pytest.mark.django_db(transaction=True)
KIND = "X_QCloud_Kind"


class Killed(BaseException):
    """Nobody catches it, as nobody catches SIGKILL."""


def send(sender: Sender, *events: Event) -> int:
    """Sends them under the kind of the first; the status."""
    kind = {KIND: KIND_OF[type(events[0])]}
    return sender.send(lines(*events), **kind).status_code


def load_all(spool: SpoolFolder, store: Store) -> None:
    loader = Loader(spool, store, linger=0)
    loader.recover()
    while loader.step() is not None:
        pass


def counts(store: Store) -> dict[str, int]:
    found = {}
    for kind, row in KINDS.items():
        sql = f"SELECT count() FROM {row.table}"  # noqa: S608
        (one,) = ask_as_system("test", sql, {}, store=store)
        found[kind] = int(one[0])
    return found


def test_every_kind_has_a_table_with_its_fields(store: Store) -> None:
    assert list(KINDS) == list(EVENT_TYPES) == list(SHAPES)
    for kind, row in KINDS.items():
        sql = (
            "SELECT name FROM system.columns"
            " WHERE database = currentDatabase() AND table = {t:String}"
        )
        found = {r[0] for r in ask_as_system("test", sql, {"t": row.table}, store=store)}
        fields = {field.name for field in msgspec.structs.fields(EVENT_TYPES[kind])}
        assert found == fields | {*ORIGIN, *CLOCK, *row.derived}, kind
        assert {"timestamp", "replayed"} <= fields


@database
@pytest.mark.parametrize("form", ["lines", "columns"])
def test_each_kind_reaches_its_table_once(spool: SpoolFolder, store: Store, form: str) -> None:
    owner = Somebody()
    broken = issue(path="/users/4711", conditions="status_code\nduration", host="api.stripe.com")
    part = artifact(digest="b" * 40, size_bytes=77, qscan=True, qscan_monitors="EMAIL,PHONE")
    asked = dns(name="api.stripe.com", addresses="10.1.2.3\n2001:db8::1", attempts=2)
    shown = certificate(host="api.stripe.com", not_after=253_402_300_799)
    with door(IngestSettings(spool=spool.path), Tokens(owner=owner)) as client:
        sender = Sender(client)
        for some in ([event(), event()], [broken], [part], [asked], [shown]):
            kind = KIND_OF[type(some[0])]
            body, headers = lines(*some), {KIND: kind}
            if form == "columns":
                body = columns_of(body, kind)
                headers["Content_Type"] = COLUMNS_CONTENT_TYPE
            assert sender.send(body, **headers).json()["accepted"] == len(some)
            assert sender.again(body, sender.sequence, **headers).status_code == 200
    load_all(spool, store)
    assert counts(store) == {"request": 2, "issue": 1, "artifact_record": 1, "dns": 1,
                             "certificate": 1}  # fmt: skip
    (found,) = ask_as_system(
        "test", "SELECT account_id, agent_id, rule, conditions, route, vendor, timestamp,"
        " request_id, status, replayed FROM reported_issues", {}, store=store,
    )  # fmt: skip
    assert tuple(found) == (
        owner.account_id, owner.agent_id, "Broken", "status_code\nduration", "/users/{id}",
        "Stripe", NOON, broken.request_id, 503, False,
    )  # fmt: skip
    (kept,) = ask_as_system(
        "test", "SELECT digest, size_bytes, artifact_type, qscan, qscan_monitors,"
        " qscan_record_document FROM artifacts", {}, store=store,
    )  # fmt: skip
    assert tuple(kept) == ("b" * 40, 77, "res-body", True, "EMAIL,PHONE", False)
    (lookup,) = ask_as_system(
        "test", "SELECT name, query_type, outcome, rcode, addresses, attempts, transport, edns"
        " FROM dns_lookups", {}, store=store,
    )  # fmt: skip
    assert tuple(lookup) == (
        "api.stripe.com", "A", "answered", "NOERROR", "10.1.2.3\n2001:db8::1", 2, "udp", False,
    )  # fmt: skip
    (seen,) = ask_as_system(
        "test", "SELECT host, vendor, destination_port, not_after, not_before, verified, names"
        " FROM certificates", {}, store=store,
    )  # fmt: skip
    assert tuple(seen) == (
        "api.stripe.com", "Stripe", 443, 253_402_300_799, 0, True,
        "api.example.com\nwww.example.com",
    )  # fmt: skip
    with unscoped("test"):
        assert [(x.rows, x.duplicates) for x in Load.objects.all()] == [(6, 5)]
        # Usage counts requests alone.
        assert [x.hour for x in TouchedHour.objects.all()] == [NOON]


@database
@pytest.mark.parametrize("at", range(3))
def test_a_loader_killed_between_two_kinds(spool: SpoolFolder, store: Store, at: int) -> None:
    with door(IngestSettings(spool=spool.path), Tokens(owner=Somebody())) as client:
        sender = Sender(client)
        assert [send(sender, event(), event()), send(sender, issue())] == [200, 200]
        assert send(sender, artifact(), artifact(), artifact()) == 200
    dying = Loader(spool, store, linger=0)
    settled = iter(range(9))

    def check(*arguments: Any) -> None:
        if next(settled) == at:
            raise Killed
        Loader._settle_kind(dying, *arguments)

    contents = read_segments(spool, spool.closed_segments())
    load, named = dying._claim(dying._next_segments(), contents)
    setattr(dying, "_settle_kind", check)  # noqa: B010  mypy knows no other way
    with pytest.raises(Killed):
        dying._settle(load, [frame for _, frame in named])
    load_all(spool, store)
    assert counts(store) == {"request": 2, "issue": 1, "artifact_record": 3, "dns": 0,
                             "certificate": 0}  # fmt: skip
    with unscoped("test"):
        assert [x.state for x in Load.objects.all()] == ["done"]


@database
def test_a_load_whose_segments_are_gone_is_counted_over_all_tables(
    spool: SpoolFolder, store: Store
) -> None:
    with door(IngestSettings(spool=spool.path), Tokens(owner=Somebody())) as client:
        sender = Sender(client)
        assert [send(sender, event()), send(sender, issue(), issue())] == [200, 200]
    dying = Loader(spool, store, linger=0)
    dying._finish = lambda *_: (_ for _ in ()).throw(Killed)  # type: ignore[method-assign]
    with pytest.raises(Killed):
        dying.step()
    for path in spool.closed_segments():
        path.unlink()
    load_all(spool, store)
    assert counts(store) == {"request": 1, "issue": 2, "artifact_record": 0, "dns": 0,
                             "certificate": 0}  # fmt: skip
    with unscoped("test"):
        assert [x.state for x in Load.objects.all()] == ["done"]


@database
def test_what_is_of_another_kind_or_of_none_is_refused(spool: SpoolFolder) -> None:
    with door(IngestSettings(spool=spool.path), Tokens(owner=Somebody())) as client:
        sender = Sender(client)
        mixed = sender.send(lines(event(), issue()))
        assert (mixed.status_code, mixed.json()["error"]["line"]) == (422, 2)
        other = sender.send(lines(event()), **{KIND: "issue"})
        assert (other.status_code, other.json()["error"]["line"]) == (422, 1)
        unknown = sender.send(lines(event()), **{KIND: "weather"})
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (422, "pulse.unknown_kind")
        assert "request, issue, artifact_record, dns" in unknown.json()["error"]["message"]
        bad = sender.send(
            lines(artifact()).replace(b"a" * 40, b"a" * 39), **{KIND: "artifact_record"}
        )
        assert (bad.status_code, bad.json()["error"]["line"]) == (422, 1)
    assert spool.closed_segments() == []


def test_frames_from_before_hold_requests() -> None:
    header = msgspec.json.encode(
        {"agent_id": uuid4(), "account_id": uuid4(), "environment_id": uuid4(),
         "boot_id": uuid4(), "sequence": 1, "rows": 1, "received_at": NOON}
    )  # fmt: skip
    assert msgspec.json.decode(header, type=FrameHeader).kind == "request"


@database
def test_a_frame_of_a_kind_that_is_not_known_is_put_aside(spool: SpoolFolder, store: Store) -> None:
    payload = parse_batch(lines(event()), received_at=NOON, replaying=False).payload
    writer = SpoolWriter(spool)
    for number, kind in enumerate(("weather", "request"), start=1):
        header = FrameHeader(
            agent_id=new_id(), account_id=new_id(), environment_id=new_id(), boot_id=new_id(),
            sequence=number, rows=1, received_at=NOON, kind=kind,
        )  # fmt: skip
        writer.append(header, memoryview(payload)).result(10)
    writer.close()
    load_all(spool, store)
    assert counts(store) == {"request": 1, "issue": 0, "artifact_record": 0, "dns": 0,
                             "certificate": 0}  # fmt: skip
    assert len(list(spool.quarantine.iterdir())) == 1


@database
def test_walls_and_erasure_hold_for_every_kind(spool: SpoolFolder, store: Store) -> None:
    def every_kind() -> list[Event]:
        return [event(), issue(), artifact(), dns(), certificate()]

    leaving, staying = Somebody(), Somebody()
    with door(IngestSettings(spool=spool.path), Tokens(a=leaving, b=staying)) as client:
        for token in ("a", "b"):
            sender = Sender(client, token=token)
            assert {send(sender, e) for e in every_kind()} == {200}
    load_all(spool, store)
    for row in KINDS.values():
        sql = f"SELECT DISTINCT account_id FROM {row.table}"  # noqa: S608
        assert [r[0] for r in ask(_scope(staying), sql, {}, store=store)] == [staying.account_id]
        assert list(ask(_scope(Somebody()), sql, {}, store=store)) == []
    found = erase(leaving.account_id, store=store)
    of_events = {row.table: found.before[row.table] for row in KINDS.values()}
    assert of_events == {"requests": 1, "reported_issues": 1, "artifacts": 1, "dns_lookups": 1,
                         "certificates": 1}  # fmt: skip
    assert found.complete
    assert set(counts(store).values()) == {1}


def _scope(somebody: Somebody) -> Scope:
    return Scope(somebody.account_id, f"/{somebody.account_id.hex}/", Tier.CUSTOMER)
