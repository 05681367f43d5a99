"""Real small disks that run full under the spool and under the event store."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pulse.errors import StoreUnavailable
from pulse.ingest.settings import IngestSettings
from pulse.loader.loader import Loader
from pulse.models import Load
from pulse.spool.folder import SpoolFolder
from pulse.store.client import ClickHouseError, Store
from pulse.store.gate import ask_as_system
from pulse.store.migrate import migrate
from pulse.tables.aside import AsideBatch
from qcloud.kernel.scope import unscoped
from tests.pulse.door import Sender, Somebody, Tokens, door
from tests.pulse.lines import event, lines
from tests.pulse.processes import EventStoreProcess
from tests.real import require_real

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.real, pytest.mark.timeout(180)]


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own in memory."""
    require_real("a small file system", os.geteuid() == 0, "mounting needs root")
    path.mkdir()
    mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path))
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


def grow(path: Path, megabytes: int) -> None:
    mount("-o", f"remount,size={megabytes}m", str(path))


def bulky(number: int, events: int = 400) -> bytes:
    """About 200 kB that no compression makes small."""
    return lines(
        *(event(path=f"/{number}/{part}", agent=os.urandom(250).hex()) for part in range(events))
    )


def stored(store: Store) -> Counter[str]:
    rows = ask_as_system("test", "SELECT path FROM requests", {}, store=store)
    return Counter(str(row[0]).split("/")[1] for row in rows)


def drain(loader: Loader) -> None:
    while loader.step() is not None:
        pass


def test_a_full_disk_of_the_spool(tmp_path: Path, store: Store) -> None:
    with small_disk(tmp_path / "small", 4) as disk:
        spool = SpoolFolder(disk / "spool")
        taken: list[int] = []
        with door(IngestSettings(spool=spool.path), Tokens(owner=Somebody())) as client:
            sender = Sender(client)
            refused = 0
            for number in range(1, 60):
                answer = sender.send(bulky(number))
                if answer.status_code == 200:
                    taken.append(number)
                    continue
                refused += 1
                assert (answer.status_code, answer.json()["error"]["code"]) == (
                    503, "pulse.spool_failed",
                )  # fmt: skip
                assert "No space left" in answer.json()["error"]["message"]
                assert int(answer.headers["Retry-After"]) > 0
                if refused == 3:
                    break
            assert refused == 3
            assert len(taken) > 5
            # What was acknowledged is loaded while the disk is full, and that alone makes room.
            loader = Loader(spool, store, linger=0)
            while loader.step() is not None:
                pass
            assert stored(store).keys() <= {str(number) for number in taken}
            grow(disk, 64)
            for number in range(taken[-1] + 1, taken[-1] + 4):
                assert sender.again(bulky(number), number).status_code == 200
                taken.append(number)
        loader = Loader(spool, store, linger=0)
        loader.recover()
        while loader.step() is not None:
            pass
        assert stored(store) == Counter({str(number): 400 for number in taken})
        assert list(spool.quarantine.iterdir()) == []


def test_a_full_disk_of_the_event_store(tmp_path: Path, spool: SpoolFolder) -> None:
    with small_disk(tmp_path / "small", 16) as disk:
        engine = EventStoreProcess(disk / "events")
        engine.log = tmp_path / "engine.log"
        engine.start()
        try:
            store = Store(engine.settings())
            migrate(store)
            batches = 110
            with door(IngestSettings(spool=spool.path), Tokens(owner=Somebody())) as client:
                sender = Sender(client)
                for number in range(1, batches + 1):
                    assert sender.send(bulky(number, 1_000)).status_code == 200
            loader = Loader(spool, store, linger=0)
            loader.recover()
            with pytest.raises((ClickHouseError, StoreUnavailable, RuntimeError)):
                drain(loader)
            for _ in range(2):
                with pytest.raises((ClickHouseError, StoreUnavailable, RuntimeError)):
                    loader.recover()
            grow(disk, 512)
            loader.recover()
            while loader.step() is not None:
                pass
            assert stored(store) == Counter({str(n): 1_000 for n in range(1, batches + 1)})
            with unscoped("test"):
                assert set(Load.objects.values_list("state", flat=True)) == {"done"}
                assert AsideBatch.objects.count() == 0
            assert spool.closed_segments() == []
        finally:
            engine.stop()
