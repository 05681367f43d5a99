"""The power goes while the agent spools: what was spooled is there, what was given up is not."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from agent.counters import Counters
from agent.spool.batch import decompress
from agent.spool.spool import Spool
from qcloud.kernel.ids import new_id
from tests.power import Disk, Image


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    made = Disk(tmp_path / "disk", monkeypatch)
    yield made
    made.close()


def lines(number: int) -> bytes:
    return b"".join(b'{"batch":%d,"part":%d}\n' % (number, part) for part in range(1 + number % 4))


def spooled(path: Path) -> dict[bytes, tuple[UUID, int]]:
    """What the next start of the agent has to send, by content."""
    spool = Spool(path, boot=new_id(), counters=Counters())
    return {decompress(spool.read(b)): (b.boot, b.sequence) for b in list(spool._batches)}


def test_spooled_batches_survive_every_moment(disk: Disk, tmp_path: Path) -> None:
    chance = random.Random(7)  # noqa: S311  chance, not a secret
    there: dict[bytes, tuple[UUID, int]] = {}
    gone: set[bytes] = set()
    cuts: dict[tuple[object, ...], tuple[dict[bytes, tuple[UUID, int]], set[bytes], Image]] = {}

    def cut() -> None:
        for image in (disk.image(), disk.image(chance)):
            key = (frozenset(there), len(gone), image.key)
            cuts.setdefault(key, (dict(there), set(gone), image))

    disk.on_step = cut
    for start in range(2):
        boot = new_id()
        spool = Spool(disk.root / "lib" / "agent" / "spool", boot=boot, counters=Counters())
        for number in range(start * 10, start * 10 + 10):
            assert spool.append(lines(number), number % 4 + 1)
            there[lines(number)] = (boot, number % 10 + 1)
            if number % 5 == 3:
                first = spool.first(0)
                assert first is not None
                # Being sent again is harmless, so an acknowledged one may come back.
                del there[decompress(spool.read(first))]
                spool.acknowledge(first)
            if number % 5 == 4:
                first = spool.first(0)
                assert first is not None
                content = decompress(spool.read(first))
                del there[content]
                spool.set_aside(first, "rejected")
                gone.add(content)
    disk.on_step = None
    assert len(there) == 12
    assert len(gone) == 4
    assert len(cuts) > 60
    for place, (wanted, given_up, image) in enumerate(cuts.values()):
        path = image.restore(tmp_path / "cuts" / str(place)) / "lib" / "agent" / "spool"
        found = spooled(path)
        assert wanted.items() <= found.items(), f"cut {place} lost a batch or changed its number"
        assert not given_up & found.keys(), f"cut {place} brought back what was given up"


def test_a_spool_that_does_not_sync_is_found_out(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail: without the syncs it would."""
    monkeypatch.setattr("agent.spool.files.sync_directory", lambda _path: None)
    spool = Spool(disk.root / "spool", boot=new_id(), counters=Counters())
    assert spool.append(lines(1), 2)
    path = disk.image().restore(tmp_path / "cut") / "spool"
    assert spooled(path) == {}
