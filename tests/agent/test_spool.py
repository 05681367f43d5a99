"""The spool: what it promises when the process is killed or the disk is full."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from agent.counters import Counters
from agent.spool.batch import compress, decompress
from agent.spool.spool import CorruptBatchError, Spool
from agent.spool.writer import SpoolWriter
from tests.real import require_real


def spool_in(directory: Path, boot: UUID | None = None, limit: int = 1 << 20) -> Spool:
    return Spool(directory, boot=boot or uuid7(), counters=Counters(), limit=limit)


def drain(spool: Spool) -> list[tuple[UUID, int, bytes]]:
    out = []
    while (batch := spool.first(0)) is not None:
        out.append((batch.boot, batch.sequence, decompress(spool.read(batch))))
        spool.acknowledge(batch)
    return out


def test_batches_come_back_in_order_with_the_same_bytes(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    for number in range(1, 4):
        assert spool.append(b"line %d\n" % number, 1)
    first = spool.first(0)
    assert first is not None
    assert spool.read(first) == spool.read(first)
    assert spool.waiting == (3, 3)
    assert drain(spool) == [(spool.boot, n, b"line %d\n" % n) for n in (1, 2, 3)]
    assert spool.size == 0
    assert spool.waiting == (0, 0)


def test_files_are_private(tmp_path: Path) -> None:
    spool = spool_in(tmp_path / "spool")
    spool.append(b"x\n", 1)
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()}
    folders = {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_dir()}
    assert (modes, folders) == ({0o600}, {0o700})


def test_an_earlier_run_is_sent_first_under_its_own_numbers(tmp_path: Path) -> None:
    first = spool_in(tmp_path)
    first.append(b"a\n", 1)
    first.append(b"b\n", 1)
    second = spool_in(tmp_path)
    second.append(b"c\n", 1)
    assert drain(second) == [
        (first.boot, 1, b"a\n"), (first.boot, 2, b"b\n"), (second.boot, 1, b"c\n")]  # fmt: skip
    assert not (tmp_path / str(first.boot)).exists()


def test_the_newest_is_dropped_at_the_bound_and_numbers_have_no_gap(tmp_path: Path) -> None:
    size = len(compress(os.urandom(2_000)))
    spool = spool_in(tmp_path, limit=3 * size)
    kept = [spool.append(os.urandom(2_000), 7) for _ in range(5)]
    assert kept == [True, True, True, False, False]
    assert spool.size <= spool.limit
    assert spool._counters.drops() == {"event.spool-full": 14}
    batch = spool.first(0)
    assert batch is not None
    spool.acknowledge(batch)
    assert spool.append(b"next\n", 1)
    assert [sequence for _, sequence, _ in drain(spool)] == [2, 3, 4]


def test_a_half_written_file_is_discarded_and_counted(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    spool.append(b"a\n", 1)
    (tmp_path / str(spool.boot) / "000000000002-5.ndjson.zst.tmp").write_bytes(b"half")
    (tmp_path / str(spool.boot) / "something else").write_bytes(b"")
    again = spool_in(tmp_path)
    assert again._counters.get("batches_half_written") == 1
    assert [data for _, _, data in drain(again)] == [b"a\n"]


def test_a_damaged_batch_is_not_sent(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    spool.append(b"a line of some length\n" * 50, 50)
    (path,) = (tmp_path / str(spool.boot)).iterdir()
    data = bytearray(path.read_bytes())
    data[-3] ^= 0xFF
    path.write_bytes(data)
    again = spool_in(tmp_path)
    batch = again.first(0)
    assert batch is not None
    with pytest.raises(CorruptBatchError):
        again.read(batch)


def test_what_is_set_aside_is_kept_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.spool.spool.REJECTED_LIMIT", 5_000)
    spool = spool_in(tmp_path)
    for _ in range(4):
        spool.append(os.urandom(2_000), 3)
        batch = spool.first(0)
        assert batch is not None
        spool.set_aside(batch, "rejected")
    kept = list((tmp_path / "rejected").iterdir())
    assert len(kept) == 2
    assert spool._counters.drops() == {"event.rejected": 12}
    assert spool.waiting == (0, 0)
    assert spool_in(tmp_path).waiting == (0, 0)


KILLED = """
import sys
from pathlib import Path
from uuid import UUID
from agent.counters import Counters
from agent.spool.spool import Spool
spool = Spool(Path(sys.argv[1]), boot=UUID(sys.argv[2]), counters=Counters())
number = 0
while True:
    number += 1
    spool.append(b"".join(b"%d.%d\\n" % (number, line) for line in range(2000)), 2000)
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


@pytest.mark.parametrize("attempt", range(4))
def test_nothing_spooled_is_lost_by_sigkill(tmp_path: Path, attempt: int) -> None:
    boot = uuid7()
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), str(boot)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"1\n"
    time.sleep(0.05 + attempt * 0.037)
    process.send_signal(signal.SIGKILL)
    promised = [1, *(int(word) for word in process.stdout.read().split())]
    process.stdout.close()
    process.wait()
    found = drain(spool_in(tmp_path))
    sequences = [sequence for _, sequence, _ in found]
    assert sequences == list(range(1, len(found) + 1))
    assert len(found) - len(promised) in {0, 1}
    for _, sequence, data in found:
        assert data == b"".join(b"%d.%d\n" % (sequence, line) for line in range(2000))
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    require_real("tmpfs", os.geteuid() == 0, "mounting needs root")
    directory = tmp_path / "disk"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(directory)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    require_real("tmpfs", mounted.returncode == 0, mounted.stderr)
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)


def test_a_full_disk_drops_and_counts_and_heals(small_disk: Path) -> None:
    spool = spool_in(small_disk, limit=1 << 30)
    kept = [spool.append(os.urandom(20_000), 10) for _ in range(30)]
    assert 5 < sum(kept) < 20
    assert kept == sorted(kept, reverse=True)
    drops = spool._counters.drops()
    assert drops == {"event.disk-full": 10 * (30 - sum(kept))}
    assert not list(small_disk.rglob("*.tmp"))
    batch = spool.first(0)
    assert batch is not None
    spool.acknowledge(batch)
    assert spool.append(os.urandom(10_000), 10)
    sequences = [sequence for _, sequence, _ in drain(spool)]
    assert sequences == list(range(2, sum(kept) + 2))


def test_the_writer_rotates_by_count_and_by_time(tmp_path: Path) -> None:
    counters = Counters()
    spool = Spool(tmp_path, boot=uuid7(), counters=counters)
    writer = SpoolWriter(spool, counters)
    writer.start()
    for number in range(5_001):
        writer.add(b"%d\n" % number)
    writer.tick()
    writer._gathering["request"].began -= 2.0
    writer.tick()
    assert writer.close(5.0)
    batches = drain(spool)
    assert [data.count(b"\n") for _, _, data in batches] == [5_000, 1]
    joined = b"".join(data for _, _, data in batches)
    assert joined == b"".join(b"%d\n" % number for number in range(5_001))


def test_a_slow_disk_costs_events_not_memory(tmp_path: Path) -> None:
    counters = Counters()
    writer = SpoolWriter(spool_in(tmp_path), counters, backlog_limit=1_000)
    for _ in range(3):
        writer.add(b"x" * 600)
        writer.rotate()
    assert counters.drops() == {"event.disk-slow": 2}
