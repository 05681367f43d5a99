"""Several stores, chosen by plugin; and a reader of standard output that stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agent.recording.demo import write_demo
from tests.agent.stores.gateway import BUCKET, REGION, ROOT, gateway

CONFIG = """
version: 2
services:
  event_stores: [{{id: console, type: stdout}}]
  object_stores:
    - {{id: cloud, type: s3, endpoint: "{endpoint}", bucket: {bucket}, region: {region},
       insecure: true, access_url: "{{{{SCHEME}}}}://{{{{ENDPOINT}}}}/{{{{BUCKET}}}}/{{{{DIGEST}}}}",
       access_key: {{type: env, value: S3_KEY}}, secret_key: {{type: env, value: S3_SECRET}}}}
    - {{id: node, type: directory, path: {folder}, access_url: "file://{folder}/{{{{DIGEST}}}}"}}
stacks:
  cloud: {{plugins: [{{type: http_capture, config: {{level: full, format: json}}}}]}}
  node: {{plugins: [{{type: http_capture, config: {{level: full, object_store_id: node}}}}]}}
tap:
  http: {{stack: cloud}}
  endpoints: [{{domain: {domain}, http: {{stack: node}}}}]
"""


def start(folder: Path, config: str, *words: str, **named: Any) -> subprocess.Popen[bytes]:
    (folder / "qtap.yaml").write_text(config)
    return subprocess.Popen(
        [sys.executable, "-m", "agent.cli", "--config", str(folder / "qtap.yaml"), *words],
        env={**os.environ, "S3_KEY": ROOT.access_key, "S3_SECRET": ROOT.secret_key}, **named,
    )  # fmt: skip


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    path = tmp_path / "demo"
    write_demo(path, minutes=1, rate=6)
    return path


def records(output: bytes) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in output.splitlines()]
    return [one["item"] for one in lines if one["type"].endswith("ArtifactRecord")]


def test_each_plugin_has_its_store(tmp_path: Path, demo: Path) -> None:
    folder = tmp_path / "objects"
    with gateway(tmp_path / "s3") as server:
        known = {"endpoint": server.endpoint, "bucket": BUCKET, "region": REGION, "folder": folder}
        first = start(tmp_path, CONFIG.format(**known, domain="none.example"), "--replay",
                      str(demo), "--speed", "max", stdout=subprocess.PIPE)  # fmt: skip
        everything = records(first.communicate(timeout=60)[0])
        assert first.returncode == 0
        domain = everything[0]["summary"]["request_host"].partition(":")[0]
        again = start(tmp_path, CONFIG.format(**known, domain=domain), "--replay", str(demo),
                      "--speed", "max", stdout=subprocess.PIPE)  # fmt: skip
        found = records(again.communicate(timeout=60)[0])
        assert again.returncode == 0
        stored = {path.name for path in (server.files / BUCKET).iterdir()}
    at_home = [one for one in found if one["url"].startswith("file://")]
    in_cloud = [one for one in found if one["url"].startswith("http://")]
    assert len(at_home) + len(in_cloud) == len(found) == len(everything)
    assert {one["summary"]["request_host"].partition(":")[0] for one in at_home} == {domain}
    assert domain not in {one["summary"]["request_host"].partition(":")[0] for one in in_cloud}
    assert {path.name for path in folder.iterdir()} == {one["digest"] for one in at_home}
    assert {one["digest"] for one in in_cloud} <= stored
    assert not {one["digest"] for one in at_home} & stored


def test_a_reader_that_stops_costs_events_and_not_the_agent(tmp_path: Path) -> None:
    """The pipe fills, then 8 MiB of queue; the agent goes on, counts, and ends when asked."""
    demo = tmp_path / "demo"
    write_demo(demo, minutes=15, rate=20)
    config = """
version: 2
services:
  event_stores: [{type: stdout}]
  object_stores: [{type: stdout}]
stacks: {all: {plugins: [{type: http_capture, config: {level: full}}, {type: report_usage}]}}
tap: {http: {stack: all}}
"""
    status = tmp_path / "status.json"
    reading, writing = os.pipe()
    agent = start(tmp_path, config, "--replay", str(demo), "--speed", "max", "--status-file",
                  str(status), stdout=writing, stderr=subprocess.DEVNULL)  # fmt: skip
    os.close(writing)
    try:
        deadline = time.monotonic() + 60
        while _dropped(status) == 0:
            assert time.monotonic() < deadline, "nothing was dropped"
            assert agent.poll() is None
            time.sleep(0.1)
        seen = _status(status)["exchanges"]
        while _status(status)["exchanges"] <= seen and _status(status)["state"] == "running":
            assert time.monotonic() < deadline, "the agent stands still"
            time.sleep(0.1)
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(25) in {0, 1}
        end = _status(status)
        assert end["state"] == "stopped"
        assert end["dropped"]["event.stdout-slow"] > 0
        assert end["memory_bytes"] < 200_000_000
    finally:
        agent.kill()
        agent.wait()
        os.close(reading)


def _status(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    return found


def _dropped(path: Path) -> int:
    return int(_status(path).get("dropped", {}).get("event.stdout-slow", 0))
