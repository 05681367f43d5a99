"""Recording → parser → spool → HTTP, as the installed command does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from agent.recording.demo import write_demo
from tests.agent.platform_server import REGISTRATION_TOKEN, Platform
from wire.events import Direction, Outcome


def run_agent(platform: Platform, data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agent.cli", "run", "--data-dir", str(data),
         "--registration-endpoint", platform.url, *arguments],
        env=os.environ | {"REGISTRATION_TOKEN": REGISTRATION_TOKEN},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_recording_is_delivered_whole(tmp_path: Path) -> None:
    recording = tmp_path / "demo.jsonl"
    requests = write_demo(recording, minutes=1, seed=7)
    status = tmp_path / "status.json"
    with Platform() as platform:
        done = run_agent(platform, tmp_path / "data", "--replay", str(recording), "--speed", "max",
                         "--status-file", str(status))  # fmt: skip
        assert done.returncode == 0, done.stderr
        events = platform.events
    assert len(events) == requests
    assert len({event.request_id for event in events}) == requests
    assert {event.outcome for event in events} == {Outcome.COMPLETE}
    assert all(event.replayed for event in events)
    assert {event.direction for event in events} == set(Direction)
    assert len({event.host for event in events}) == 12
    assert not any("?" in event.path for event in events)
    assert platform.registrations[0]["replaying"] is True
    assert platform.duplicates == 0
    final = json.loads(status.read_bytes())
    assert final["state"] == "stopped"
    assert (final["exchanges"], final["events_acknowledged"]) == (requests, requests)
    assert final["dropped"] == {}


def test_the_demo_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    first, second, other = (tmp_path / name for name in ("a", "b", "c"))
    write_demo(first, minutes=0.2, seed=3)
    write_demo(second, minutes=0.2, seed=3)
    write_demo(other, minutes=0.2, seed=4)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes() != other.read_bytes()


def test_statuses_and_hosts_are_those_of_the_recording(tmp_path: Path) -> None:
    recording = tmp_path / "demo.jsonl"
    write_demo(recording, minutes=2, seed=1)
    with Platform() as platform:
        run_agent(platform, tmp_path / "data", "--replay", str(recording), "--speed", "max")
        statuses = Counter(event.status for event in platform.events)
        stripe = [event for event in platform.events if event.host == "api.stripe.com"]
    assert statuses[200] > statuses[404] > 0
    assert stripe
    assert {event.direction for event in stripe} == {Direction.EGRESS_EXTERNAL}
    assert {event.auth_token_mask for event in stripe} == {"****4242"}
    assert {event.exe for event in stripe} == {"/usr/bin/python3.11"}


def test_a_long_recording_fed_at_once_leaves_nothing_unanswered(tmp_path: Path) -> None:
    """Its chunks lie minutes in the past, which must not look like silence."""
    recording = tmp_path / "demo.jsonl"
    requests = write_demo(recording, minutes=15, rate=30, seed=2)
    with Platform() as platform:
        run_agent(platform, tmp_path / "data", "--replay", str(recording), "--speed", "max",
                  "--idle-timeout", "2")  # fmt: skip
        events = platform.events
    assert len(events) == requests
    assert {event.outcome for event in events} == {Outcome.COMPLETE}
