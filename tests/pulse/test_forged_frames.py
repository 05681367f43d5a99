"""What agents write into their batches can never become a frame of the spool."""

from __future__ import annotations

from uuid import UUID

import pyarrow as pa
import pytest

from pulse.errors import SpoolFailed
from pulse.spool.folder import SpoolFolder
from pulse.spool.frames import OPENING_SIZE, Damage, Frame, FrameHeader, encode_frame, scan
from pulse.spool.segment import recover
from pulse.spool.writer import SpoolWriter
from qcloud.kernel.clock import now
from qcloud.kernel.ids import new_id


def header(agent: UUID, sequence: int = 1) -> FrameHeader:
    return FrameHeader(
        agent_id=agent,
        account_id=agent,
        environment_id=agent,
        boot_id=new_id(),
        sequence=sequence,
        rows=1,
        received_at=now(),
    )


def parts_of(spool: SpoolFolder) -> list[Frame | Damage]:
    paths = (*spool.closed_segments(), *spool.open_segments())
    return [part for path in paths for part in scan(memoryview(path.read_bytes()))]


def write(spool: SpoolFolder, payload: bytes, agent: UUID) -> bytes:
    """The segment that a batch of ``agent`` makes, taken out of the spool."""
    writer = SpoolWriter(spool)
    writer.append(header(agent), memoryview(payload)).result(10)
    writer.close()
    (path,) = spool.closed_segments()
    data = path.read_bytes()
    path.unlink()
    return data


def forged(victim: UUID) -> bytes:
    """All that a frame in the name of ``victim`` needs, but the mark of its segment."""
    table = pa.table({"path": ["/forged"]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    head, payload = encode_frame(header(victim), memoryview(sink.getvalue()))
    return head + bytes(payload)


@pytest.mark.parametrize("guess", [b"", bytes(16), b"\xff" * 16])
@pytest.mark.parametrize("broken", ["cut", "first bytes", "opening", "all before"])
def test_a_frame_in_a_payload_is_never_read(spool: SpoolFolder, guess: bytes, broken: str) -> None:
    attacker, victim = new_id(), new_id()
    hidden = guess + forged(victim)
    data = bytearray(write(spool, b"x" * 100 + hidden + b"y" * 100, attacker))
    inside = data.index(hidden)
    if broken == "cut":
        del data[-50:]
    elif broken == "first bytes":
        data[OPENING_SIZE : OPENING_SIZE + 40] = bytes(40)
    elif broken == "opening":
        data[:OPENING_SIZE] = bytes(OPENING_SIZE)
    else:
        data[:inside] = bytes(inside)
    (spool.path / "00000000000000000001.open").write_bytes(data)
    recover(spool)
    assert not [part for part in parts_of(spool) if isinstance(part, Frame)]


def test_every_segment_has_a_mark_of_its_own(spool: SpoolFolder) -> None:
    agent = new_id()
    first, second = write(spool, b"a", agent), write(spool, b"a", agent)
    assert first[:OPENING_SIZE] != second[:OPENING_SIZE]


def test_a_caller_that_goes_away_takes_nobody_with_it(spool: SpoolFolder) -> None:
    """A server cancels the task of a client that has hung up."""
    writer = SpoolWriter(spool)
    try:
        with writer._changed:
            gone = writer.append(header(new_id(), 1), memoryview(b"gone"))
            assert gone.cancel()
        writer.append(header(new_id(), 2), memoryview(b"here")).result(10)
    finally:
        writer.close()
    (frame,) = parts_of(spool)
    assert isinstance(frame, Frame)
    assert frame.header.sequence == 2
    assert writer.backlog == sum(path.stat().st_size for path in spool.closed_segments())


def test_a_failed_write_leaves_the_count_right(
    spool: SpoolFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SpoolWriter(spool)
    try:
        writer.append(header(new_id(), 1), memoryview(b"kept")).result(10)

        def full(*_arguments: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as broken:
            broken.setattr("pulse.spool.segment.os.fdatasync", full)
            refused = writer.append(header(new_id(), 2), memoryview(b"x" * 10_000))
            with pytest.raises(SpoolFailed):
                refused.result(10)
        assert writer.backlog == sum(p.stat().st_size for p in spool.closed_segments())
    finally:
        writer.close()
    assert [p.header.sequence for p in parts_of(spool) if isinstance(p, Frame)] == [1]
