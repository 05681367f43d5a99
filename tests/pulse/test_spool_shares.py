"""One account's backlog leaves room for the others, before and after a restart."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from pulse.errors import SpoolFull, SpoolShare
from pulse.ingest.settings import IngestSettings
from pulse.spool import segment
from pulse.spool.folder import CLOSED, SpoolFolder, write_durably
from pulse.spool.frames import MARK_SIZE, FrameHeader, encode_frame, opening
from pulse.spool.writer import SpoolWriter
from qcloud.kernel.ids import new_id
from tests.pulse.door import Sender, Somebody, Tokens, door
from tests.pulse.lines import event, lines

LIMIT = 1_000_000
PAYLOAD = bytes(9_600)
FRAME = 10_000
"""About what one takes with its header."""


def header(account: UUID) -> FrameHeader:
    return FrameHeader(
        agent_id=account, account_id=account, environment_id=account, boot_id=new_id(),
        sequence=1, rows=1, received_at=datetime.now(UTC),
    )  # fmt: skip


def fill(writer: SpoolWriter, account: UUID) -> int:
    """Frames until one is refused as this account's."""
    for sent in range(LIMIT // FRAME + 1):
        try:
            writer.append(header(account), memoryview(PAYLOAD)).result(10)
        except SpoolShare:
            return sent
    raise AssertionError("the spool has no bound for one account")


def soon(holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + 10
    while time.monotonic() < end and not holds():
        time.sleep(0.02)
    return holds()


def test_each_account_may_have_what_is_left_free(spool: SpoolFolder) -> None:
    flood, second, third = new_id(), new_id(), new_id()
    writer = SpoolWriter(spool, limit=LIMIT)
    try:
        assert 46 <= fill(writer, flood) <= 50
        assert 22 <= fill(writer, second) <= 26
        assert 11 <= fill(writer, third) <= 14
        with pytest.raises(SpoolShare):
            writer.append(header(flood), memoryview(PAYLOAD))
        writer.append(header(new_id()), memoryview(PAYLOAD)).result(10)
        # What is left free is everybody's bound in the end.
        with pytest.raises(SpoolFull):
            writer.append(header(new_id()), memoryview(bytes(LIMIT // 4)))
    finally:
        writer.close()


def test_a_restart_forgets_nobodys_share_and_the_loader_gives_it_back(spool: SpoolFolder) -> None:
    flood = new_id()
    first = SpoolWriter(spool, limit=LIMIT)
    sent = fill(first, flood)
    first.close()
    again = SpoolWriter(spool, limit=LIMIT)
    try:
        assert again._accounts[flood] == first._accounts[flood] > sent * len(PAYLOAD)
        with pytest.raises(SpoolShare):
            again.append(header(flood), memoryview(PAYLOAD))
        for path in spool.closed_segments():
            path.unlink()
        # Nobody has to get in first: it is looked again every second.
        assert soon(lambda: again.backlog == 0)
        assert len(again._accounts) == 0
        assert fill(again, flood) == sent
    finally:
        again.close()


def test_a_spool_full_to_the_brim_opens_again_by_itself(spool: SpoolFolder) -> None:
    """Even when whoever comes has only what is larger than the rest."""
    writer = SpoolWriter(spool, limit=30_000)
    try:
        for _ in range(2):
            writer.append(header(new_id()), memoryview(PAYLOAD)).result(10)
        assert soon(lambda: writer._segment is None)
        with pytest.raises(SpoolFull):
            writer.append(header(new_id()), memoryview(bytes(12_000)))
        for path in spool.closed_segments():
            path.unlink()
        assert soon(lambda: writer.backlog == 0)
        writer.append(header(new_id()), memoryview(bytes(12_000))).result(10)
    finally:
        writer.close()


def test_what_was_not_written_is_nobodys(
    spool: SpoolFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = new_id()
    writer = SpoolWriter(spool, limit=LIMIT)

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    try:
        with monkeypatch.context() as broken:
            broken.setattr("pulse.spool.segment.os.fdatasync", full)
            refused = writer.append(header(account), memoryview(PAYLOAD))
            assert refused.exception(10) is not None
        assert writer._accounts[account] == 0
        with writer._changed:
            assert writer.append(header(account), memoryview(PAYLOAD)).cancel()
        assert soon(lambda: len(writer._accounts) == 0)
    finally:
        writer.close()


def test_the_door_says_whose_room_is_used_up_and_when_to_come_back(spool: SpoolFolder) -> None:
    tokens = Tokens(owner=Somebody(), neighbour=Somebody())
    body = lines(event())
    with door(IngestSettings(spool=spool.path, spool_limit=10_000), tokens) as client:
        flood = Sender(client, token="owner")
        answers = [flood.send(body) for _ in range(10)]
        assert answers[0].status_code == 200
        last = answers[-1]
        assert (last.status_code, last.json()["error"]["code"]) == (503, "pulse.spool_share")
        assert int(last.headers["Retry-After"]) > 0
        assert Sender(client, token="neighbour").send(body).status_code == 200


def put_aside(spool: SpoolFolder, account: UUID, number: int) -> Path:
    """As the loader does with a batch that the event store refuses."""
    mark = bytes(MARK_SIZE)
    head, payload = encode_frame(header(account), memoryview(PAYLOAD))
    path = spool.aside / f"{number:020d}-24{CLOSED}"
    write_durably(path, b"".join((opening(mark), mark, head, payload)))
    return path


def test_what_is_set_aside_takes_its_accounts_share_until_it_is_decided(
    spool: SpoolFolder,
) -> None:
    """Nothing is thrown away for room: whose batches they are waits, and all others go on."""
    flood, other = new_id(), new_id()
    writer = SpoolWriter(spool, limit=LIMIT)
    writer.append(header(other), memoryview(PAYLOAD)).result(10)
    aside = [put_aside(spool, flood, number) for number in range(60)]
    (spool.aside / f"x{CLOSED}.new").write_bytes(bytes(LIMIT))
    try:
        assert soon(lambda: 61 * len(PAYLOAD) < writer.backlog < 62 * FRAME)
        with pytest.raises(SpoolShare, match="qcloud spool list"):
            writer.append(header(flood), memoryview(PAYLOAD))
        writer.append(header(other), memoryview(PAYLOAD)).result(10)
        writer.close()
        writer = SpoolWriter(spool, limit=LIMIT)
        with pytest.raises(SpoolShare):
            writer.append(header(flood), memoryview(PAYLOAD))
        for path in aside:
            path.unlink()
        assert soon(lambda: len(writer._accounts) == 1)
        writer.append(header(flood), memoryview(PAYLOAD)).result(10)
    finally:
        writer.close()


@pytest.mark.parametrize("broken", ["rename", "sync"])
def test_a_segment_that_could_not_be_closed_is_closed_soon(
    spool: SpoolFolder, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """It holds acknowledged batches: they wait for no restart."""
    writer = SpoolWriter(spool, limit=LIMIT)
    failures: list[Path] = []
    whole = segment.finish

    def failing(folder: SpoolFolder, path: Path) -> Path | None:
        if len(failures) < 3:
            failures.append(path)
            if broken == "sync":
                path.rename(path.with_suffix(CLOSED))
            raise OSError(5, "Input/output error")
        return whole(folder, path)

    monkeypatch.setattr("pulse.spool.segment.finish", failing)
    monkeypatch.setattr("pulse.spool.writer.finish", failing)
    try:
        writer.append(header(new_id()), memoryview(PAYLOAD)).result(10)
        assert soon(lambda: len(failures) == 3)
        assert soon(lambda: writer._unfinished == [])
        (path,) = spool.closed_segments()
        assert spool.open_segments() == []
        assert path.stem == failures[0].stem
        assert path.stat().st_size > len(PAYLOAD)
    finally:
        writer.close()
