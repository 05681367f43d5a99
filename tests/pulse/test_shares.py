"""One account's slow senders, and what a small body may cost in memory."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator

import httpx
import pytest

from pulse.ingest.settings import IngestSettings
from pulse.ingest.shares import Shares
from pulse.spool.folder import SpoolFolder
from qcloud.kernel.ids import new_id
from tests.pulse.door import Somebody, Tokens, door
from tests.pulse.lines import event, lines
from wire.protocol import BOOT_HEADER, EVENTS_PATH, REGISTER_PATH, SEQUENCE_HEADER

GOOD = lines(event())


def headers(token: str, sequence: int = 1) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {token}",
        BOOT_HEADER: str(new_id()),
        SEQUENCE_HEADER: str(sequence),
    }


async def one_among_slow(transport: httpx.ASGITransport, slow: int) -> httpx.Response:
    """A neighbour's batch while ``slow`` bodies of the owner do not arrive."""
    release = asyncio.Event()

    async def trickle() -> AsyncIterator[bytes]:
        yield GOOD
        await release.wait()

    async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
        hanging = [
            asyncio.create_task(
                client.post(EVENTS_PATH, content=trickle(), headers=headers("owner"))
            )
            for _ in range(slow)
        ]
        await asyncio.sleep(0.2)
        answer = await asyncio.wait_for(
            client.post(EVENTS_PATH, content=GOOD, headers=headers("neighbour")), 5
        )
        release.set()
        assert {done.status_code for done in await asyncio.gather(*hanging)} == {200}
    return answer


def test_slow_senders_delay_no_other_account(spool: SpoolFolder) -> None:
    tokens = Tokens(owner=Somebody(), neighbour=Somebody())
    with door(IngestSettings(spool=spool.path), tokens) as client:
        answer = client.run(one_among_slow(client._transport, slow=70))
    assert answer.status_code == 200


def test_shares_are_given_back_and_forgotten() -> None:
    async def play() -> None:
        shares, one, other = Shares(3, 2), new_id(), new_id()
        async with shares.taken(one), shares.taken(one), shares.taken(other):
            assert len(shares) == 2
            for account in (one, other):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05), shares.taken(account):
                        raise AssertionError("there is no place left")
        assert len(shares) == 0
        async with shares.taken(one), shares.taken(one), shares.taken(other):
            assert len(shares) == 2

    asyncio.run(play())


def test_a_registration_is_small(spool: SpoolFolder) -> None:
    with door(IngestSettings(spool=spool.path), Tokens()) as client:
        answer = client.request(
            "POST", REGISTER_PATH, content=b"x" * 20_000, headers={"Authorization": "Bearer x"}
        )
    assert answer.status_code == 413


_MEASURE = """
import re
from datetime import UTC, datetime
from pathlib import Path
from pulse.errors import MalformedBatch
from pulse.ingest.batch import parse_batch

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10

data = b"\\n" * (64 << 20)
before = peak()
try:
    parse_batch(data, received_at=datetime.now(UTC), replaying=False)
except MalformedBatch:
    print(peak() - before)
"""


def test_line_ends_alone_cost_little() -> None:
    """In a process of its own: memory is told by its highest mark, in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 150, "the limit of lines is met before they are all noted"
