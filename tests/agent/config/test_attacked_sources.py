"""Where a configuration comes from, when somebody or something is against it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent.config.source import FileSource, SourceError, UrlSource, shown
from agent.uplink.client import Client, EndpointError, UnreachableError

WHOLE = b"version: 2\ntap: {direction: egress}\n"


def test_a_file_that_is_written_over_is_taken_when_it_holds_still(tmp_path: Path) -> None:
    """Half of it may be a document too: one without the filters that stood further down."""
    path = tmp_path / "qtap.yaml"
    path.write_bytes(b"version: 2\n")
    source = FileSource(path)
    assert source.read() == b"version: 2\n"
    with path.open("r+b") as file:
        file.truncate()
        os.utime(path, ns=(1, 1))
        assert source.read() is None
        file.write(WHOLE)
    os.utime(path, ns=(2, 2))
    assert source.read() is None
    assert source.read() == WHOLE
    assert source.read() is None


def test_a_file_that_is_replaced_or_asked_for_is_taken_at_once(tmp_path: Path) -> None:
    path, other = tmp_path / "qtap.yaml", tmp_path / "new"
    path.write_bytes(b"version: 2\n")
    source = FileSource(path)
    assert source.read() == b"version: 2\n"
    other.write_bytes(WHOLE)
    other.rename(path)
    assert source.read() == WHOLE
    path.write_bytes(b"version: 2\n# longer\n")
    source.forget()
    assert source.read() == b"version: 2\n# longer\n"


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("/etc/qtap.yaml", "/etc/qtap.yaml"),
        ("https://h.example/a?sig=HUNTER2#x", "https://h.example/a"),
        ("https://bob:HUNTER2@h.example:8443/a?b@c", "https://h.example:8443/a"),
        ("https://bob:HUN@TER2@h.example", "https://h.example"),
        ("http://h.example?HUNTER2/x", "http://h.example"),
    ],
)
def test_what_lets_somebody_in_is_not_told(where: str, told: str) -> None:
    assert shown(where) == told


@pytest.mark.parametrize(
    "url", ["https://[::1/x?HUNTER2", "https://h:99999/x?HUNTER2", "https://h:x/?HUNTER2",
            "https://bob:HUNTER2@/x"],
)  # fmt: skip
def test_what_is_no_address_is_refused_and_not_raised(url: str) -> None:
    with pytest.raises(SourceError, match="is no address") as refused:
        UrlSource(url)
    assert "HUNTER2" not in str(refused.value)


def test_a_failed_address_is_told_without_its_secrets(tmp_path: Path) -> None:
    words = ["--config", "http://bob:HUNTER2@127.0.0.1:9/x?token=HUNTER2", "--data-dir",
             str(tmp_path), "--httpd-listen", "none"]  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-m", "agent", *words],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "http://127.0.0.1:9/x: " in ended.stderr
    assert not re.search("HUNTER2|bob", ended.stdout + ended.stderr)


@pytest.mark.parametrize("address", ["https://[::1", "https://h:99999", "https://h:x"])
def test_a_platform_that_has_no_address(address: str) -> None:
    with pytest.raises(EndpointError, match="must look like"):
        Client(address, environment={})


def test_a_token_that_no_header_can_hold_is_not_repeated() -> None:
    client = Client("http://127.0.0.1:9", environment={})
    with pytest.raises(UnreachableError) as refused:
        client.call("GET", "/", token="HUN\nTER2")
    assert "TER2" not in str(refused.value)
