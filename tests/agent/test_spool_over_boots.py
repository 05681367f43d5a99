"""The spool over reboots, wrong clocks, upgrades and bounds that change."""

from __future__ import annotations

import os
import time
from pathlib import Path
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from agent.counters import Counters
from agent.spool.batch import decompress
from agent.spool.boot import new_boot
from agent.spool.spool import Spool

DAY = 24 * 3600.0


class Clocks:
    """The two clocks that the spool reads, set at will."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.wall = 1_800_000_000.0
        self.awake = 50_000.0
        patch.setattr("agent.spool.batch.time.time", lambda: self.wall)
        patch.setattr("agent.spool.batch.time.clock_gettime", lambda _: self.awake)
        patch.setattr("agent.spool.spool.awake", lambda: self.awake)

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.awake += seconds

    def reboot(self, *, wall: float | None = None) -> None:
        """The monotonic clock begins anew; the other goes on, or is ``wall``."""
        self.awake = 3.0
        self.wall = self.wall + 60 if wall is None else wall


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


class Run:
    """One life of the agent's spool."""

    def __init__(self, folder: Path, clocks: Clocks, *, limit: int = 1 << 20) -> None:
        self.folder = folder
        self.clocks = clocks
        self.counters = Counters()
        self.boot = new_boot(folder)
        self.spool = Spool(
            folder, boot=self.boot, counters=self.counters, limit=limit, seconds=7 * DAY
        )

    def append(self, line: bytes) -> bool:
        """The file is dated as the wall clock would have."""
        folder = self.folder / str(self.boot)
        before = set(folder.iterdir())
        kept = self.spool.append(line, 1)
        for path in set(folder.iterdir()) - before:
            os.utime(path, (self.clocks.wall, self.clocks.wall))
        return kept

    def drain(self) -> list[tuple[UUID, int, bytes]]:
        self.spool.expire()
        found = []
        while (batch := self.spool.first(0)) is not None:
            found.append((batch.boot, batch.sequence, decompress(self.spool.read(batch))))
            self.spool.acknowledge(batch)
        return found


def test_a_reboot_keeps_order_and_numbers(tmp_path: Path, clocks: Clocks) -> None:
    first = Run(tmp_path, clocks)
    first.append(b"a")
    first.append(b"b")
    clocks.reboot()
    second = Run(tmp_path, clocks)
    second.append(b"c")
    clocks.reboot()
    third = Run(tmp_path, clocks)
    third.append(b"d")
    assert third.drain() == [
        (first.boot, 1, b"a"), (first.boot, 2, b"b"), (second.boot, 1, b"c"),
        (third.boot, 1, b"d"),
    ]  # fmt: skip
    assert third.counters.drops() == {}


def test_a_clock_that_went_back_does_not_change_the_order(
    tmp_path: Path, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node without a battery starts in 1970, time and again."""
    runs = [Run(tmp_path, clocks)]
    runs[0].append(b"0")
    early = iter([UUID(int=uuid7().int & ((1 << 80) - 1) | at << 80) for at in (5, 2, 9)])
    monkeypatch.setattr("agent.spool.boot.uuid7", lambda: next(early))
    for number in range(1, 4):
        clocks.reboot(wall=float(number))
        runs.append(Run(tmp_path, clocks))
        runs[-1].append(b"%d" % number)
    assert len({run.boot for run in runs}) == 4
    assert all(run.boot.version == 7 for run in runs)
    assert [data for _, _, data in runs[-1].drain()] == [b"0", b"1", b"2", b"3"]
    assert runs[-1].counters.drops() == {}


def test_what_waited_too_long_is_dropped_and_counted(tmp_path: Path, clocks: Clocks) -> None:
    run = Run(tmp_path, clocks)
    run.append(b"old")
    clocks.pass_(6 * DAY)
    run.append(b"young")
    clocks.pass_(1.5 * DAY)
    assert [data for _, _, data in run.drain()] == [b"young"]
    assert run.counters.drops() == {"event.too-old": 1}
    assert run.spool.size == 0


def test_age_is_counted_over_a_reboot(tmp_path: Path, clocks: Clocks) -> None:
    first = Run(tmp_path, clocks)
    first.append(b"old")
    clocks.pass_(6 * DAY)
    clocks.reboot()
    second = Run(tmp_path, clocks)
    assert second.spool.waiting == (1, 1)
    clocks.pass_(1.5 * DAY)
    assert second.drain() == []
    assert second.counters.drops() == {"event.too-old": 1}
    assert not (tmp_path / str(first.boot)).exists()


@pytest.mark.parametrize(("written", "now"), [(100.0, 1.8e9), (1.8e9, 100.0), (1.8e9, 4e9)])
def test_a_clock_that_jumps_loses_nothing(
    tmp_path: Path, clocks: Clocks, written: float, now: float
) -> None:
    """Unset at first, unset later, or set to another century by mistake."""
    clocks.wall = written
    run = Run(tmp_path, clocks)
    run.append(b"1")
    clocks.wall = now
    run.spool.expire()
    clocks.reboot(wall=now)
    later = Run(tmp_path, clocks)
    assert [data for _, _, data in later.drain()] == [b"1"]
    assert later.counters.drops() == {}


def test_a_lower_bound_keeps_what_is_there(tmp_path: Path, clocks: Clocks) -> None:
    first = Run(tmp_path, clocks)
    lines = [os.urandom(1_000) for _ in range(5)]
    for line in lines:
        assert first.append(line)
    second = Run(tmp_path, clocks, limit=2_000)
    assert not second.append(b"new")
    assert second.counters.drops() == {"event.spool-full": 1}
    assert [data for _, _, data in second.drain()] == lines
    assert second.append(b"new")


def test_files_of_another_version_are_left_alone_and_told_of(
    tmp_path: Path, clocks: Clocks
) -> None:
    first = Run(tmp_path, clocks)
    first.append(b"1")
    strange = tmp_path / str(first.boot) / "000000000002-7.ndjson.lz9"
    strange.write_bytes(b"?")
    second = Run(tmp_path, clocks)
    assert [sequence for _, sequence, _ in second.drain()] == [1]
    assert strange.exists()
    assert second.counters.counts()["batches_unknown"] == 1


def test_a_boot_is_named_after_all_others(tmp_path: Path) -> None:
    assert new_boot(tmp_path / "missing").version == 7
    late = UUID(int=(int(time.time() * 1_000) + 10**9 << 80) | uuid7().int & ((1 << 80) - 1))
    (tmp_path / str(late)).mkdir()
    (tmp_path / "rejected").mkdir()
    assert new_boot(tmp_path) > late
