"""One account's backlog leaves room for the others, before and after a restart."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest

from pulse.errors import SpoolFull, SpoolShare
from pulse.ingest.settings import IngestSettings
from pulse.spool.folder import SpoolFolder
from pulse.spool.frames import FrameHeader
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
