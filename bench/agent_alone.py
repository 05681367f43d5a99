"""The agent with a configuration of its own: objects to S3, memory idle, memory over a day.

- ``objects_s3``: objects a second a core that the S3 store signs, digests, sends and has
  confirmed; the agent's processor time, against a real S3 on loopback. The baseline is the
  digests alone (SHA-1 of the name, SHA-256 of the payload).
- ``agent_idle_mb``: resident memory of ``qcloud-agent`` with stores, plugins and the status
  server, capturing, a few seconds after start. The kernel's ring is mapped twice, one behind
  the other, as its interface wants; its pages are counted once, as they are there once.
- ``agent_day_mb``: what resident memory grows by between the first hour and the end of 24
  hours' worth of exchanges, fed as fast as they are taken.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from agent.capture.source import Chunk, Connection, DnsMessage
from agent.counters import Counters
from agent.recording.demo import write_demo
from agent.recording.source import AS_FAST_AS_POSSIBLE, RecordingSource
from agent.stores.queue import ObjectQueue
from agent.stores.s3.store import S3Store
from agent.system import resident_bytes
from bench.result import Result
from tests.agent.stores.gateway import BUCKET, REGION, ROOT, gateway
from wire.config import Credential
from wire.config import ObjectStore as ObjectStoreConfig
from wire.objects import object_digest
from wire.protocol import ProbeState

OBJECTS: Final = 2_000
OBJECT_BYTES: Final = 4_096
ROUNDS: Final = 3
MINUTES: Final = 30.0
DAY: Final = int(24 * 60 / MINUTES)
WARM: Final = 2
"""Replays of ``MINUTES`` after which memory is looked at first."""
IDLE_SECONDS: Final = 6.0

_CONFIG: Final = """
version: 2
services:
  event_stores: [{type: stdout}]
  object_stores:
    - {id: s3, type: s3, endpoint: "ENDPOINT", bucket: payloads, region: eu-test-1, insecure: true,
       access_key: {type: env, value: S3_KEY}, secret_key: {type: env, value: S3_SECRET}}
    - {id: folder, type: directory, path: FOLDER}
stacks:
  all:
    plugins:
      - {type: http_capture, config: {level: summary, object_store_id: folder}}
      - {type: report_usage}
      - {type: http_metrics}
      - {type: detect_errors, config: {rules: [{name: e, trigger_status_codes: ["5xx"]}]}}
tap: {http: {stack: all}}
"""


def run() -> Iterable[Result]:
    """The three figures. Needs versitygw; idle memory needs root."""
    with tempfile.TemporaryDirectory(prefix="qcloud-bench-") as name:
        folder = Path(name)
        with gateway(folder / "s3") as server:
            runs = [_child("objects", server.endpoint) for _ in range(ROUNDS)]
            config = folder / "qtap.yaml"
            text = _CONFIG.replace("ENDPOINT", server.endpoint)
            config.write_text(text.replace("FOLDER", str(folder / "objects")))
            best = max(runs, key=lambda one: one["rate"])
            yield Result(
                "objects_s3", best["rate"], "objects/s/core", best["plain"],
                best["rate"] / best["plain"], ROUNDS,
            )  # fmt: skip
            yield Result("agent_idle_mb", _idle(config, folder), "MB", None, None, 1)
            config.write_text(text.replace("type: directory, path: FOLDER", "type: stdout"))
            day = _child("day", str(config))
        yield Result("agent_day_mb", day["grown"], "MB", day["warm"], day["end"] / day["warm"],
                     int(day["exchanges"]))  # fmt: skip


def _environment() -> dict[str, str]:
    return {**os.environ, "S3_KEY": ROOT.access_key, "S3_SECRET": ROOT.secret_key}


def _child(*words: str) -> dict[str, float]:
    """A process of its own: its processor time and memory are the agent's alone."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.agent_alone", *words],
        stdout=subprocess.PIPE, text=True, check=True, env=_environment(),
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


# -- objects ---------------------------------------------------------------------------


def _objects(endpoint: str) -> dict[str, float]:
    made = random.Random(6)
    objects = [made.randbytes(OBJECT_BYTES) for _ in range(OBJECTS)]
    counters = Counters()
    queue = ObjectQueue(_store(endpoint, counters), counters)
    before = time.process_time()
    queue.start()
    for data in objects:
        queue.offer(object_digest(data), data)
    stored = queue.close(120)
    spent = time.process_time() - before
    if not stored or counters.get("objects_stored") != OBJECTS:
        raise RuntimeError(f"not all was stored: {counters.drops()}")
    before = time.process_time()
    for data in objects:
        object_digest(data)
        base64.b64encode(hashlib.sha256(data).digest())
    plain = time.process_time() - before
    return {"rate": OBJECTS / spent, "plain": OBJECTS / plain}


def _store(endpoint: str, counters: Counters) -> S3Store:
    config = ObjectStoreConfig(
        type="s3", endpoint=endpoint, bucket=BUCKET, region=REGION, insecure=True,
        access_key=Credential(type="env", value="S3_KEY"),
        secret_key=Credential(type="env", value="S3_SECRET"),
    )  # fmt: skip
    return S3Store(config, os.environ, counters)


# -- memory ----------------------------------------------------------------------------


def _idle(config: Path, folder: Path) -> float:
    status = folder / "status.json"
    with (folder / "agent.log").open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "agent", "--config", str(config), "--status-file",
                str(status), "--data-dir", str(folder / "data"), "--httpd-listen", "127.0.0.1:0",
            ],
            stdout=log, stderr=log, env=_environment(),
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 60
            while _state(status) != "running":
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((folder / "agent.log").read_text())
                time.sleep(0.2)
            time.sleep(IDLE_SECONDS)
            return _memory(process.pid) / 1e6
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _memory(pid: int) -> int:
    """Resident bytes, each page of the ring once."""
    total = ring = 0
    inside = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if "-" in line.partition(" ")[0]:
            inside = "bpf-map" in line
        elif line.startswith("Rss:"):
            resident = int(line.split()[1]) * 1024
            total += resident
            ring += resident if inside else 0
    return total - ring // 2


def _state(status: Path) -> str:
    return str(json.loads(status.read_bytes())["state"]) if status.exists() else ""


class Day:
    """A ``Source``: one recording again and again, with new connections each time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._source = RecordingSource(path, speed=AS_FAST_AS_POSSIBLE)
        self._round = 0
        self.memory: list[int] = []

    def poll(self, timeout_ms: int) -> Iterable[Chunk]:
        try:
            chunks = self._source.poll(timeout_ms)
        except EOFError:
            self.memory.append(resident_bytes())
            self._source.close()
            self._round += 1
            if self._round == DAY:
                raise
            self._source = RecordingSource(self._path, speed=AS_FAST_AS_POSSIBLE)
            return []
        first = self._round << 40
        return [chunk._replace(connection=chunk.connection + first) for chunk in chunks]

    def connection(self, key: int) -> Connection | None:
        found = self._source.connection(key & ((1 << 40) - 1))
        return found._replace(key=key) if found is not None else None

    def forget(self, key: int) -> None:
        if key >> 40 == self._round:
            self._source.forget(key & ((1 << 40) - 1))

    def audit_dns(self, *, wanted: bool) -> None:
        """A recording holds HTTP alone."""

    def dns(self) -> list[DnsMessage]:
        return []

    def forget_dns(self, socket: int) -> None:
        """There is none."""

    def lost(self) -> dict[str, int]:
        return {}

    def probes(self) -> list[ProbeState]:
        return self._source.probes()

    def close(self) -> None:
        self._source.close()


def _day(config: str) -> dict[str, float]:
    from agent.assembly import assemble
    from agent.options import parser

    with tempfile.TemporaryDirectory(prefix="qcloud-bench-") as name:
        path = Path(name) / "recording"
        write_demo(path, minutes=MINUTES, rate=8.0, seed=6)
        day = Day(path)
        options = parser({}).parse_args(["run", "--replay", str(path), "--config", config])
        # What it prints is of no interest here; the last line of ours is.
        kept = os.dup(1)
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        with assemble(options, "", lambda _: day) as runner:
            runner.run()
            exchanges = runner.status().exchanges
        os.dup2(kept, 1)
    warm, end = day.memory[WARM] / 1e6, day.memory[-1] / 1e6
    return {"warm": warm, "end": end, "grown": end - warm, "exchanges": exchanges}


if __name__ == "__main__":
    task, argument = sys.argv[1:]
    found = {"objects": _objects, "day": _day}[task](argument)
    sys.stdout.write(json.dumps(found) + "\n")
