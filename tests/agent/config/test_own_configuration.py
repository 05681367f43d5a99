"""The command on a configuration of one's own: no platform anywhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from agent.config.source import FileSource, SourceError, UrlSource
from agent.options import TLS_PROBES, parser
from agent.recording.demo import write_demo
from tests.agent.platform_server import REGISTRATION_TOKEN, Platform
from tests.real import require_real

ALONE = """\
version: 2
services:
  event_stores: [{id: console, type: stdout}]
  object_stores: [{id: files, type: directory, path: FOLDER/objects}]
stacks:
  default:
    plugins:
      - type: report_usage
      - type: http_capture
        config: {level: LEVEL}
      - type: detect_errors
        config: {rules: [{name: Broken, trigger_status_codes: [5xx], report_as_issue: true}]}
tap: {http: {stack: default}}
"""


def alone(folder: Path, level: str = "summary") -> str:
    return ALONE.replace("FOLDER", str(folder)).replace("LEVEL", level)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "agent.cli", *words]


def run(
    *words: str, stdin: str | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if "REGISTRATION" not in name}
    return subprocess.run(command(*words), capture_output=True, text=True, timeout=60, check=False,
                          input=stdin, env=environment | variables)  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "qtap.yaml"
    path.write_text(alone(tmp_path))
    return path


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    path = tmp_path / "demo"
    write_demo(path, minutes=0.2, rate=20)
    return path


def printed(output: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in output.splitlines():
        entry = json.loads(line)
        found.setdefault(entry["type"].rpartition(".")[2], []).append(entry["item"])
    return found


def check_output(output: str, folder: Path, requests: int) -> None:
    events = printed(output)
    assert len(events["Request"]) == requests
    assert {one["digest"] for one in events["ArtifactRecord"]} == {
        path.name for path in (folder / "objects").iterdir()
    }
    assert len(events["ArtifactRecord"]) == requests
    assert {one["status"] for one in events["Issue"]} <= {500, 503, 504}
    finals = [one for one in events["Connection"] if one["finalized"]]
    firsts = [one for one in events["Connection"] if one["part"] == 0]
    assert {one["meta"]["connectionId"] for one in finals} == {
        one["meta"]["connectionId"] for one in firsts
    } == {one["connectionId"] for one in events["Request"]}  # fmt: skip
    assert sum(one["bytesSent"] for one in finals) == sum(
        one["bytesSent"] for one in events["Request"]
    )


def test_it_runs_alone(tmp_path: Path, config: Path) -> None:
    demo = tmp_path / "demo"
    requests = write_demo(demo, minutes=0.2, rate=20)
    status = tmp_path / "status.json"
    done = run("--config", str(config), "--replay", str(demo), "--speed", "max",
               "--status-file", str(status), "--tags", "region:eu")  # fmt: skip
    assert done.returncode == 0, done.stderr
    check_output(done.stdout, tmp_path, requests)
    assert printed(done.stdout)["Connection"][0]["tags"]["region"] == ["eu"]
    final = json.loads(status.read_bytes())
    assert (final["config_origin"], final["config_reloads"], final["config_problem"]) == (
        str(config), 1, "",
    )  # fmt: skip
    assert final["dropped"] == {}
    assert final["exchanges"] == final["objects_stored"] == requests


def test_air_gapped(config: Path, demo: Path) -> None:
    """In a network namespace without any interface, and with nothing asked of it."""
    require_real("unshare", os.geteuid() == 0, "a network namespace needs root")
    words = ["unshare", "--net", *command("--config", str(config), "--replay", str(demo),
                                          "--speed", "max")]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert len(printed(done.stdout)["Request"]) > 50
    assert [one for one in map(json.loads, done.stderr.splitlines())
            if one["level"] in {"warning", "error"}] == []  # fmt: skip


def test_no_stores_at_all_is_said_and_no_error(tmp_path: Path, demo: Path) -> None:
    config = tmp_path / "bare.yaml"
    config.write_text("version: 2\n")
    done = run("--replay", str(demo), "--speed", "max", QPOINT_CONFIG=str(config))
    assert (done.returncode, done.stdout) == (0, "")
    said = {json.loads(line)["event"] for line in done.stderr.splitlines()}
    assert {"no object store is configured: payloads are dropped",
            "no event store is configured: events are dropped"} <= said  # fmt: skip


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [("version: 3", 2, "1:10: version: version must be 2"),
     ("version: 2\ntap: {redis: {}}", 2, "not supported: only HTTP"),
     (None, 2, "No such file")],
)  # fmt: skip
def test_a_bad_configuration_at_the_start(
    tmp_path: Path, text: str | None, code: int, words: str
) -> None:
    path = tmp_path / "x.yaml"
    if text is not None:
        path.write_text(text)
    done = run("--config", str(path))
    assert done.returncode == code
    assert words in json.loads(done.stderr.splitlines()[-1])["reason"]
    assert "Traceback" not in done.stderr


def test_tags_that_are_none(config: Path) -> None:
    done = run("--config", str(config), QPOINT_DEPLOYMENT_TAGS="nonsense")
    assert done.returncode == 2
    assert "write key:value" in done.stderr


# -- validate --------------------------------------------------------------------------


def test_validate(tmp_path: Path, config: Path) -> None:
    done = run("validate", str(config))
    assert (done.returncode, done.stdout) == (0, f"{config}: can be used\n")
    bad = "version: 2\ntap:\n  directon: all\n  direction: up\n"
    done = run("validate", "-", stdin=bad)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "<stdin>:3:3: warning: tap.directon: unknown key; did you mean direction?",
        (
            "<stdin>:4:14: error: tap.direction: 'up' is none of all, ingress, egress, "
            "egress-internal, egress-external"
        ),
        "<stdin>: cannot be used",
    ]
    assert run("validate", str(tmp_path / "gone")).returncode == 2


def test_validate_for_machines_and_strictly() -> None:
    text = "version: 2\ntap: {frob: 1}\n"
    lenient = run("validate", "-", "--format", "json", stdin=text)
    strict = run("validate", "-", "--format", "json", "--strict", stdin=text)
    assert (lenient.returncode, strict.returncode) == (0, 1)
    problem = {"line": 2, "column": 7, "path": "tap.frob", "message": "unknown key"}
    assert json.loads(lenient.stdout) == {
        "file": "-", "valid": True, "problems": [{"severity": "warning"} | problem],
    }  # fmt: skip
    assert json.loads(strict.stdout)["problems"] == [{"severity": "error"} | problem]


def test_flags_and_variables_have_the_names_that_are_in_use() -> None:
    variables = {
        "QPOINT_CONFIG": "/x.yaml", "QPOINT_DEPLOYMENT_TAGS": "a:b", "TLS_PROBES": "none",
        "REGISTRATION_ENDPOINT": "https://p", "HTTP_BUFFER_SIZE": "1kb", "LOG_LEVEL": "DEBUG",
        "LOG_ENCODING": "console", "DATA_DIR": "/data",
    }  # fmt: skip
    options = parser(variables).parse_args(["run"])
    assert (options.config, options.tags, options.tls_probes) == ("/x.yaml", "a:b", frozenset())
    assert (options.http_buffer_size, options.log_level, str(options.data_dir)) == (
        1024, "debug", "/data",
    )  # fmt: skip
    options = parser({}).parse_args(["run", "--config", "/y", "--tls-probes", "openssl,gotls"])
    assert (options.config, options.tls_probes) == ("/y", {"openssl", "gotls"})
    assert parser({}).parse_args(["run"]).tls_probes == TLS_PROBES


# -- reload ----------------------------------------------------------------------------


@contextmanager
def running(
    config: str, demo: Path, status: Path, *words: str, speed: str = "0.2"
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command("--config", config, "--replay", str(demo), "--speed", speed,
                "--status-file", str(status), *words),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait(lambda: state(status).get("state") == "running")
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def state(status: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(status.read_bytes())
    except FileNotFoundError:
        return {}
    return found


def wait(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_files_that_are_replaced_and_sighup(tmp_path: Path, config: Path, demo: Path) -> None:
    status = tmp_path / "status.json"
    with running(str(config), demo, status) as process:
        first = state(status)["config_digest"]
        other = tmp_path / "other"
        other.write_text(alone(tmp_path, "full"))
        other.rename(config)
        wait(lambda: state(status)["config_reloads"] == 2)
        wait(lambda: state(status)["config_digest"] != first)
        config.write_text("version: 2\ntap: [")
        wait(lambda: state(status)["config_refused"] == 1)
        assert "this is not YAML" in state(status)["config_problem"]
        assert state(status)["config_reloads"] == 2
        process.send_signal(signal.SIGHUP)
        wait(lambda: state(status)["config_refused"] == 2)
        config.unlink()
        wait(lambda: "No such file" in state(status)["config_problem"])
        config.write_text(alone(tmp_path))
        wait(lambda: state(status)["config_reloads"] == 3)
        wait(lambda: state(status)["config_digest"] == first)
        assert state(status)["config_problem"] == ""
        process.send_signal(signal.SIGHUP)
        wait(lambda: state(status)["config_reloads"] == 4)


def test_a_configuration_from_a_pipe_is_read_once(tmp_path: Path) -> None:
    """``--config <(sops -d qtap.yaml)``: nothing waits for a second writer."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    source = FileSource(path)
    writing = threading.Thread(target=path.write_text, args=("version: 2\n",))
    writing.start()
    assert source.read() == b"version: 2\n"
    writing.join()
    assert source.read() is None


def test_a_config_map_is_followed_through_its_links(tmp_path: Path) -> None:
    """As Kubernetes does it: file → ..data/file, ..data → a folder that is swapped."""
    for number, level in enumerate(("summary", "full")):
        (tmp_path / f"..{number}").mkdir()
        (tmp_path / f"..{number}" / "qtap.yaml").write_text(alone(tmp_path, level))
    (tmp_path / "..data").symlink_to("..0")
    (tmp_path / "qtap.yaml").symlink_to("..data/qtap.yaml")
    source = FileSource(tmp_path / "qtap.yaml")
    assert b"summary" in (source.read() or b"")
    assert source.read() is None
    (tmp_path / "..tmp").symlink_to("..1")
    (tmp_path / "..tmp").rename(tmp_path / "..data")
    assert b"level: full" in (source.read() or b"")
    assert source.read() is None
    (tmp_path / "..data").unlink()
    with pytest.raises(SourceError, match="No such file"):
        source.read()
    (tmp_path / "..data").symlink_to("..1")
    assert b"level: full" in (source.read() or b"")


class Served(BaseHTTPRequestHandler):
    text, etag, status, asked = b"", '"1"', 200, list[str]()

    def do_GET(self) -> None:
        given = self.headers.get("If-None-Match", "")
        type(self).asked.append(given)
        if self.status == 200 and given == self.etag:
            self.send_response(304)
            self.end_headers()
            return
        self.send_response(self.status)
        self.send_header("ETag", self.etag)
        self.send_header("Content-Length", str(len(self.text)))
        self.end_headers()
        self.wfile.write(self.text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's name
        """Silence."""


def test_an_address_is_asked_with_its_etag() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Served)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    source = UrlSource(f"http://127.0.0.1:{server.server_address[1]}/qtap.yaml")
    try:
        Served.text = b"version: 2\n"
        assert source.read() == b"version: 2\n"
        assert source.read() is None
        Served.text, Served.etag = b"version: 2\ntap: {}\n", '"2"'
        assert source.read() == b"version: 2\ntap: {}\n"
        Served.etag = '"3"'
        assert source.read() is None, "the same bytes under another tag"
        Served.status = 503
        with pytest.raises(SourceError, match="the answer was 503"):
            source.read()
        Served.status = 200
        source.forget()
        assert source.read() == b"version: 2\ntap: {}\n"
        assert Served.asked == ["", '"1"', '"1"', '"2"', '"3"', ""]
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(SourceError):
        source.read()


# -- with a platform as the event store ------------------------------------------------


def test_a_snapshot_of_ones_own_reports_to_the_platform(tmp_path: Path) -> None:
    demo, config = tmp_path / "demo", tmp_path / "qtap.yaml"
    requests = write_demo(demo, minutes=0.2, rate=20)
    with Platform() as platform:
        platform.config = {"version": 2, "tap": {"direction": "ingress"}}
        store = f"{{type: pulse, url: '{platform.url}', token: {{type: env, value: MY_TOKEN}}}}"
        config.write_text(alone(tmp_path).replace("{id: console, type: stdout}", store))
        done = run("--config", str(config), "--replay", str(demo), "--speed", "max", "--data-dir",
                   str(tmp_path / "data"), MY_TOKEN=REGISTRATION_TOKEN)  # fmt: skip
        events = platform.events
        assert platform.config_fetches == 0
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert len(events) == requests, "its own configuration holds, not the platform's"
    assert all(event.object_digest for event in events)
