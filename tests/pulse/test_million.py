"""Hosts and paths without end, all different: taken, and what is remembered stays in bounds.

The bounds are a tenth of the real ones and so are the batches: what a million would do to them,
a hundred thousand do to these.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from pulse.ingest.batch import parse_batch
from pulse.loader.block import block_of
from pulse.routes import book as routes
from pulse.routes.book import RouteBook
from pulse.spool.frames import Frame, FrameHeader
from pulse.tables.routes import PathHost
from qcloud.kernel.scope import unscoped
from tests.pulse.lines import event, lines

BATCHES, ROWS = 10, 10_000
_LINE = lines(event(host="HOST", path="/PATH"))[:-1].decode()


def memory() -> int:
    """MiB of this process, now."""
    found = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) >> 10


def frame(turn: int) -> Frame:
    """No path twice; every other request goes to one host."""
    before, _, rest = _LINE.partition("HOST")
    between, _, after = rest.partition("PATH")
    body = "".join(
        f"{before}{'one' if n % 2 else f'h{turn}-{n}'}.example{between}{turn}x{n}/a{n}b{after}\n"
        for n in range(ROWS)
    )
    moment = datetime.now(UTC)
    batch = parse_batch(body.encode(), received_at=moment, replaying=False)
    header = FrameHeader(
        agent_id=UUID(int=1), account_id=UUID(int=2), environment_id=UUID(int=3),
        boot_id=UUID(int=4), sequence=turn + 1, rows=batch.rows, received_at=moment,
    )  # fmt: skip
    return Frame(header, memoryview(batch.payload), 0)


@pytest.mark.django_db
def test_hosts_and_paths_without_end_stay_in_bounds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(routes, "MOST_HOSTS", 50)
    monkeypatch.setattr(routes, "MOST_IN_MEMORY", 200)
    monkeypatch.setattr(routes, "MOST_PATHS", 20_000)
    book, marks, templates = RouteBook(), [], set()
    for turn in range(BATCHES):
        block = block_of([frame(turn)], UUID(int=5), book)
        assert block.num_rows == ROWS
        assert len(set(block["path"].to_pylist())) == ROWS, "what was sent is stored as it is"
        templates.update(block["route"].combine_chunks().dictionary.to_pylist())
        marks.append(memory())
        assert sum(host.remembered for host in book._hosts.values()) <= routes.MOST_PATHS
        assert len(book._hosts) <= routes.MOST_IN_MEMORY
    with unscoped("test"):
        # One more, which all that found no room share.
        assert PathHost.objects.count() <= routes.MOST_HOSTS + 1
        assert sum(len(row.tree) for row in PathHost.objects.all()) < 4 * 1024 * 1024
    assert len(templates) < 5_000
    assert marks[-1] - marks[3] < 40, marks
    assert "no room for more hosts" in caplog.text
