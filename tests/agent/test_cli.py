"""The command as an operator meets it."""

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

from agent.link.scope import Scope, ScopeError, namespace_inode
from agent.options import parser, size
from agent.recording.demo import write_demo
from agent.recording.format import RecordingError
from agent.recording.recorder import Recorder
from agent.recording.source import AS_FAST_AS_POSSIBLE, RecordingSource
from tests.agent.platform_server import REGISTRATION_TOKEN, Platform
from tests.agent.test_replay_end_to_end import run_agent
from tests.agent.traffic import chunks_of, client


def agent(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "agent.cli", *arguments], capture_output=True,
                          text=True, timeout=60, check=False,
                          env=os.environ | environment)  # fmt: skip


def start(platform: Platform, data: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "agent.cli", "--data-dir", str(data), *arguments],
        env=os.environ | {"REGISTRATION_TOKEN": REGISTRATION_TOKEN,
                          "REGISTRATION_ENDPOINT": platform.url},
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def reason(done: subprocess.CompletedProcess[str]) -> str:
    return str(json.loads(done.stderr.splitlines()[-1])["reason"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "set --registration-endpoint"),
        (["--registration-endpoint", "http://platform.example"], 2, "in the clear"),
        (["--registration-endpoint", "https://p.example", "--netns", "/no/such"], 2, "/no/such"),
        (["--registration-endpoint", "https://p.example", "--ca-file", "/no/such"], 2, "CA file"),
        (["--registration-endpoint", "https://p.example", "--replay", "/no/such", "--data-dir",
          "{tmp}"], 2, "cannot be read"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_plainly(
    tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    done = agent("run", *(word.replace("{tmp}", str(tmp_path / "d")) for word in arguments))
    assert done.returncode == code, done.stderr
    assert words in reason(done)
    assert "Traceback" not in done.stderr


def test_two_agents_do_not_share_a_data_folder(tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    write_demo(demo, minutes=1)
    status = tmp_path / "status.json"
    with Platform() as platform:
        first = start(
            platform, tmp_path / "data", "--replay", str(demo), "--status-file", str(status)
        )
        platform.wait(status.exists)
        second = run_agent(platform, tmp_path / "data", "--replay", str(demo))
        first.send_signal(signal.SIGTERM)
        assert first.wait(20) == 0
    assert second.returncode == 4
    assert "another agent uses the data folder" in reason(second)


def test_sigterm_drains_what_was_seen(tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    write_demo(demo, minutes=5, rate=40)
    status = tmp_path / "status.json"
    with Platform() as platform:
        process = start(platform, tmp_path / "data", "--replay", str(demo), "--speed", "20",
                        "--status-file", str(status))  # fmt: skip
        platform.wait(lambda: status.exists() and read(status)["exchanges"] > 50)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        final = read(status)
        delivered = platform.events
    assert final["state"] == "stopped"
    assert final["exchanges"] == final["events_acknowledged"] == len(delivered)
    assert final["events_waiting"] == 0


def test_sigkill_and_restart_lose_nothing_spooled_and_double_nothing(tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    requests = write_demo(demo, minutes=5, rate=40)
    status = tmp_path / "status.json"
    with Platform() as platform:
        process = start(platform, tmp_path / "data", "--replay", str(demo), "--speed", "20",
                        "--status-file", str(status))  # fmt: skip
        platform.wait(lambda: status.exists() and read(status)["events_spooled"] > 100)
        process.send_signal(signal.SIGKILL)
        process.wait()
        spooled = read(status)["events_spooled"]
        empty = tmp_path / "empty"
        write_demo(empty, minutes=0.02, rate=100)
        done = run_agent(platform, tmp_path / "data", "--replay", str(empty), "--speed", "max")
        events = platform.events
    assert done.returncode == 0
    boots = list(dict.fromkeys(boot for boot, _ in platform.order))
    assert len(boots) == 2
    assert boots == sorted(boots)
    assert spooled <= len(events) <= requests
    assert len({event.request_id for event in events}) == len(events)


def read(status: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(status.read_bytes())
    return document


def test_replay_at_the_recordings_pace_keeps_durations(tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    write_demo(demo, minutes=0.05, rate=20)
    began = time.monotonic()
    source = RecordingSource(demo)
    chunks = chunks_of(source)
    assert 2.5 < time.monotonic() - began < 4.5
    fast = RecordingSource(demo, speed=AS_FAST_AS_POSSIBLE)
    at_once = list(fast.poll(0))
    fast.close()
    assert [chunk.data for chunk in at_once] == [chunk.data for chunk in chunks][: len(at_once)]
    distances = [chunk.monotonic_ns - chunks[0].monotonic_ns for chunk in chunks]
    again = [chunk.monotonic_ns - at_once[0].monotonic_ns for chunk in at_once]
    assert again == distances[: len(again)]
    assert all(chunk.monotonic_ns <= time.monotonic_ns() for chunk in at_once)


def test_what_is_recorded_is_what_was_seen(tmp_path: Path) -> None:
    demo, copy = tmp_path / "demo", tmp_path / "copy"
    write_demo(demo, minutes=0.1)
    source = RecordingSource(demo, speed=AS_FAST_AS_POSSIBLE)
    seen = []
    with Recorder(copy, source, wanted=lambda who: who.tls) as recorder:
        try:
            while True:
                for chunk in source.poll(0):
                    who = source.connection(chunk.connection)
                    assert who is not None
                    if who.tls:
                        seen.append((chunk.kind, chunk.flow, chunk.data))
                    recorder.add(chunk)
        except EOFError:
            source.close()
    assert copy.stat().st_mode & 0o777 == 0o600
    again = chunks_of(RecordingSource(copy, speed=AS_FAST_AS_POSSIBLE))
    found = [(chunk.kind, chunk.flow, chunk.data) for chunk in again]
    assert found == seen
    assert len(seen) == recorder.chunks > 20


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no header"),
        (b'{"type":"close","key":1,"ns":1}\n', "no header"),
        (b"not json\n", "line 1"),
        (
            b'{"type":"header","format":"qcloud-recording","version":9,"startedAt":"x"}\n',
            "version 9",
        ),
    ],
)
def test_a_file_that_is_no_recording(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=words):
        RecordingSource(path)


def test_a_recording_whose_last_line_was_cut_ends_before_it(tmp_path: Path) -> None:
    path = tmp_path / "demo"
    write_demo(path, minutes=0.1)
    whole = len(chunks_of(RecordingSource(path, speed=AS_FAST_AS_POSSIBLE)))
    path.write_bytes(path.read_bytes()[:-20])
    chunks = chunks_of(RecordingSource(path, speed=AS_FAST_AS_POSSIBLE))
    assert len(chunks) == whole - 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2mb", 2 << 20), ("512KB", 512 << 10), ("1GiB", 1 << 30), ("4096", 4096), ("10b", 10)],
)
def test_sizes(text: str, expected: int) -> None:
    assert size(text) == expected


def test_flags_win_over_variables() -> None:
    environment = {"DATA_DIR": "/a", "LOG_LEVEL": "debug", "HTTP_BUFFER_SIZE": "1mb",
                   "REGISTRATION_ENDPOINT": "https://e"}  # fmt: skip
    options = parser(environment).parse_args(["run"])
    assert (str(options.data_dir), options.log_level) == ("/a", "debug")
    assert (options.http_buffer_size, options.registration_endpoint) == (1 << 20, "https://e")
    given = parser(environment).parse_args(["run", "--data-dir", "/b", "--http-buffer-size", "5"])
    assert (str(given.data_dir), given.http_buffer_size) == ("/b", 5)


def test_a_scope_is_a_namespace_without_some_processes(tmp_path: Path) -> None:
    listed = tmp_path / "pids"
    child = subprocess.Popen(["sleep", "30"])
    try:
        scope = Scope(netns=77, excluded=frozenset({5}), files=(listed,))
        assert scope(client(netns=77, pid=1))
        assert not scope(client(netns=78, pid=1))
        assert not scope(client(netns=77, pid=5))
        assert not scope(client(netns=77, pid=os.getpid()))
        assert not scope(client(netns=77, pid=child.pid))
        listed.write_text("1\n")
        scope.refresh()
        assert not scope(client(netns=77, pid=1))
    finally:
        child.kill()
        child.wait()


def test_namespaces_are_named_by_path_or_inode() -> None:
    assert namespace_inode("all") == 0
    assert namespace_inode("4026531840") == 4026531840
    assert namespace_inode("/proc/self/ns/net") == Path("/proc/self/ns/net").stat().st_ino
    with pytest.raises(ScopeError):
        namespace_inode("/proc/self/ns/none")


def test_idle_memory_stays_small(tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    write_demo(demo, minutes=1, rate=2)
    status = tmp_path / "status.json"
    with Platform() as platform:
        process = start(
            platform, tmp_path / "data", "--replay", str(demo), "--status-file", str(status)
        )
        platform.wait(lambda: status.exists() and read(status)["uptime_seconds"] > 2)
        memory = read(status)["memory_bytes"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert memory < 60 * 1024 * 1024


def test_the_doctor_says_whether_capture_can_work() -> None:
    from agent.capture.doctor import examine

    done = agent("doctor", "--no-probes")
    findings = [f"BAD  {one.what}: {one.why}" for one in examine()]
    assert done.returncode == (3 if findings else 0)
    assert [line for line in done.stdout.splitlines() if line.startswith("BAD")] == findings


@pytest.mark.parametrize(
    ("name", "value"),
    [("LOG_LEVEL", "loud"), ("LOG_ENCODING", "xml"), ("HTTP_BUFFER_SIZE", "much"),
     ("SPOOL_LIMIT", "-1")],
)  # fmt: skip
def test_a_senseless_variable_is_refused_by_name(name: str, value: str) -> None:
    done = agent("run", **{name: value})
    assert done.returncode == 2
    assert f"--{name.lower().replace('_', '-')}" in done.stderr
    assert value in done.stderr
