"""``ingest_json``: from HTTP to queryable, against the engine alone on the same lines.

Ours: batches of JSON lines, zstd, over HTTP to the real door; each is on disk before it is
acknowledged; the loader brings them into the event store. Measured is the processor time
of door, loader and event store together, until a query counts every event. The sender's
time is the agent's and does not count. Baseline: the same event store, over the same
interface, loads the same lines as ``JSONEachRow``, 200,000 an insert, into the same columns.

Each repetition of either side begins with an empty table. Otherwise the engine merges what
earlier repetitions wrote, and whether that falls into a measured span is chance.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import urllib3
import zstandard

from agent.uplink.columnar import columns_of
from bench.corpora import event_batches
from bench.result import Result
from bench.servers import TOKEN, Platform, platform_on_disk
from qcloud.kernel.ids import new_id
from wire.protocol import (
    BOOT_HEADER,
    COLUMNS_CONTENT_TYPE,
    EVENTS_CONTENT_TYPE,
    EVENTS_PATH,
    SEQUENCE_HEADER,
)

EVENTS: Final = 400_000
BATCH: Final = 5_000
BASELINE_INSERT: Final = 200_000
REPETITIONS: Final = 5
SENDERS: Final = 4
_DEADLINE_SECONDS: Final = 120.0


@dataclass(frozen=True)
class Corpus:
    batches: list[bytes]
    """Lines, compressed, as an agent sends them."""
    columns: list[bytes]
    """The same in columns."""
    inserts: list[bytes]
    """Plain lines, as the baseline loads them."""


def run() -> Iterable[Result]:
    """Events a second of processor time, medians of interleaved repetitions; bytes an event."""
    corpus = _corpus()
    ours, columnar, plain = [], [], []
    with platform_on_disk() as platform:
        _baseline_table(platform)
        for repetition in range(REPETITIONS + 1):
            lines = _ours(platform, corpus.batches, EVENTS_CONTENT_TYPE)
            cells = _ours(platform, corpus.columns, COLUMNS_CONTENT_TYPE)
            if repetition == REPETITIONS:
                stored = _bytes_an_event(platform)
            theirs = _plain(platform, corpus)
            if repetition:  # the first warms caches and pages in the engine
                ours.append(lines)
                columnar.append(cells)
                plain.append(theirs)
    baseline = statistics.median(plain)
    for name, values in (("ingest_json", ours), ("ingest_columnar", columnar)):
        value = statistics.median(values)
        yield Result(name, value, "events/cpu-s", baseline, value / baseline, len(values))
    yield Result("bytes_per_event", stored, "bytes", None, None, 1)


def _bytes_an_event(platform: Platform) -> float:
    """Of ``requests`` on disk, indices included, once everything is merged."""
    client = platform.store.client()
    client.command("OPTIMIZE TABLE requests FINAL")
    sql = (
        "SELECT sum(bytes_on_disk) / sum(rows) FROM system.parts"
        " WHERE active AND database = currentDatabase() AND table = 'requests'"
    )
    return float(str(client.command(sql)))


def _corpus() -> Corpus:
    compressor = zstandard.ZstdCompressor(level=3)
    plain = list(event_batches(EVENTS, BATCH))
    size = BASELINE_INSERT // BATCH
    joined = (b"".join(plain[i : i + size]) for i in range(0, len(plain), size))
    lines = [compressor.compress(batch) for batch in plain]
    return Corpus(lines, [compressor.compress(columns_of(b)) for b in plain], list(joined))


def _ours(platform: Platform, batches: list[bytes], content_type: str) -> float:
    platform.empty("requests")
    started = platform.cpu_seconds()
    _send(platform.ingest_url, batches, content_type)
    _wait(platform, EVENTS)
    used = platform.cpu_seconds() - started
    return EVENTS / used


def _send(url: str, batches: list[bytes], content_type: str) -> None:
    """All batches from a few connections, each answered before the next on the same one."""
    boot = str(new_id())
    pool = urllib3.PoolManager(maxsize=SENDERS)

    def post(numbered: tuple[int, bytes]) -> None:
        number, body = numbered
        answer = pool.request(
            "POST",
            url + EVENTS_PATH,
            body=body,
            headers={
                "Authorization": f"Bearer {TOKEN}",
                "Content-Type": content_type,
                "Content-Encoding": "zstd",
                BOOT_HEADER: boot,
                SEQUENCE_HEADER: str(number),
            },
        )
        if answer.status != 200:
            raise RuntimeError(f"batch {number}: {answer.status} {answer.data.decode()}")

    with ThreadPoolExecutor(SENDERS) as senders:
        list(senders.map(post, enumerate(batches, start=1)))


def _wait(platform: Platform, rows: int) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while (found := platform.count()) < rows:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{found} of {rows} events after {_DEADLINE_SECONDS:.0f} s")
        # Seldom: each question costs processor time that is not the work.
        time.sleep(0.5)
    if found != rows:
        raise RuntimeError(f"{found} events in the store, {rows} were sent")


def _baseline_table(platform: Platform) -> None:
    """``requests`` with the wire's names for columns, so that the engine reads the lines."""
    client = platform.store.client()
    sql = str(client.command("SHOW CREATE TABLE requests")).replace("\\n", "\n").replace("\\'", "'")
    table = f"{platform.store.settings.database}.baseline"
    renamed = re.sub(r"`(\w+)`", lambda match: f"`{_camel(match[1])}`", sql)
    renamed = re.sub(r"^CREATE TABLE \S+", f"CREATE TABLE {table}", renamed)
    head, tail = renamed.split("ENGINE = ")
    head = re.sub(r"(INDEX \w+) (\w+)", lambda m: f"{m[1]} {_camel(m[2])}", head)
    for name in ("received_at", "account_id", "request_id"):
        tail = tail.replace(name, _camel(name))
    client.command(f"{head}ENGINE = {tail}")


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def _plain(platform: Platform, corpus: Corpus) -> float:
    client = platform.store.client()
    platform.empty("baseline")
    started = platform.cpu_seconds()
    for lines in corpus.inserts:
        client.raw_insert(
            "baseline",
            insert_block=lines,
            fmt="JSONEachRow",
            settings={
                "date_time_input_format": "best_effort",
                "input_format_skip_unknown_fields": 1,
                "max_insert_block_size": 1_000_000,
                "min_insert_block_size_rows": 1_000_000,
                "min_insert_block_size_bytes": 0,
            },
        )
    used = platform.cpu_seconds() - started
    return EVENTS / used


def profile() -> Iterator[str]:
    """Where our processor time goes, microseconds an event by process; for people."""
    corpus = _corpus()
    with platform_on_disk() as platform:
        _baseline_table(platform)
        for batches, kind in (
            (corpus.batches, EVENTS_CONTENT_TYPE),
            (corpus.columns, COLUMNS_CONTENT_TYPE),
        ):
            _ours(platform, batches, kind)
            before = platform.cpu_by_process()
            _ours(platform, batches, kind)
            for name, seconds in platform.cpu_by_process().items():
                cost = (seconds - before[name]) / EVENTS * 1e6
                yield f"{kind}: {name}: {cost:.2f} µs an event"
        yield f"engine alone: {1e6 / _plain(platform, corpus):.2f} µs an event"
        yield f"{_bytes_an_event(platform):.1f} bytes an event"
