"""The power goes while ingest writes: whatever was acknowledged is in the spool afterwards."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from pulse.ingest.batch import parse_batch
from pulse.loader.segments import read_segments
from pulse.spool import writer as writing
from pulse.spool.folder import SpoolFolder
from pulse.spool.frames import FrameHeader
from pulse.spool.writer import SpoolWriter
from qcloud.kernel.clock import now
from qcloud.kernel.ids import new_id
from tests.power import Disk, Image
from tests.pulse.lines import event, lines

AGENT, ACCOUNT, ENVIRONMENT, BOOT = new_id(), new_id(), new_id(), new_id()


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    made = Disk(tmp_path / "disk", monkeypatch)
    yield made
    made.close()


def send(writer: SpoolWriter, number: int) -> None:
    batch = parse_batch(
        lines(*(event(path=f"/{number}/{part}") for part in range(number % 5 + 1))),
        received_at=now(),
        replaying=False,
    )
    header = FrameHeader(
        agent_id=AGENT, account_id=ACCOUNT, environment_id=ENVIRONMENT, boot_id=BOOT,
        sequence=number, rows=batch.rows, received_at=now(),
    )  # fmt: skip
    writer.append(header, memoryview(batch.payload)).result(10)


def found_in(path: Path) -> tuple[Counter[int], UUID]:
    """Batches, by number, after a start on what the power cut left; and the spool's identity."""
    folder = SpoolFolder(path)
    SpoolWriter(folder).close()
    contents = read_segments(folder, folder.closed_segments())
    return Counter(frame.header.sequence for _, frame in contents.frames), folder.identity()


def test_acknowledged_batches_survive_every_moment(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "SEGMENT_SECONDS", 0.01)
    chance = random.Random(7)  # noqa: S311  chance, not a secret
    acknowledged: list[int] = []
    cuts: dict[tuple[int, int], tuple[list[int], Image]] = {}

    def cut() -> None:
        for image in (disk.image(), disk.image(chance)):
            cuts.setdefault((len(acknowledged), image.key), (list(acknowledged), image))

    disk.on_step = cut
    folder = SpoolFolder(disk.root / "var" / "spool")
    identity = folder.identity()
    # Twice, so that what a first start left is recovered under the same eyes.
    for first in (1, 13):
        writer = SpoolWriter(folder)
        for number in range(first, first + 12):
            send(writer, number)
            acknowledged.append(number)
        writer.close()
    disk.on_step = None
    assert len(cuts) > 60
    assert {len(done) for done, _ in cuts.values()} == set(range(25))
    for place, (done, image) in enumerate(cuts.values()):
        path = image.restore(tmp_path / "cuts" / str(place))
        batches, identity_after = found_in(path / "var" / "spool")
        assert batches.keys() >= set(done), f"cut {place} lost a batch"
        assert set(batches.values()) <= {1}
        if done:
            assert identity_after == identity


def test_a_spool_that_does_not_sync_is_found_out(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail: without the syncs it would."""
    monkeypatch.setattr(SpoolFolder, "sync", lambda _self: None)
    folder = SpoolFolder(disk.root / "var" / "spool")
    writer = SpoolWriter(folder)
    send(writer, 1)
    image = disk.image()
    writer.close()
    batches, _ = found_in(image.restore(tmp_path / "cut") / "var" / "spool")
    assert batches == {}
