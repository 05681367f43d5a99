"""The agent's log lines."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from agent.logs import configure_logs, get_logger, output


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    least, sink = output.least, output.sink
    yield
    output.least, output.sink = least, sink


def test_json_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    log = get_logger().bind(sequence=7)
    log.debug("too fine")
    log.warning("batch not delivered", reason="no\nway", path=Path("/x"), id=UUID(int=1))
    told = capsys.readouterr().err
    entry = json.loads(told)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {
        "event": "batch not delivered", "level": "warning", "sequence": 7, "reason": "no\nway",
        "path": "/x", "id": str(UUID(int=1)),
    }  # fmt: skip
    assert told.count("\n") == 1


def test_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("debug", "console")
    get_logger().debug("looked", file="/etc/q.yaml", reason="two words", empty="", escape="\x1b[2J")
    line = capsys.readouterr().err
    assert line.endswith("Z debug   looked  file=/etc/q.yaml reason='two words' empty='' "
                         "escape='\\x1b[2J'\n")  # fmt: skip


@pytest.mark.parametrize("encoding", ["json", "console"])
def test_a_traceback_comes_with_its_error(
    capsys: pytest.CaptureFixture[str], encoding: str
) -> None:
    configure_logs("error", encoding)
    try:
        int("broken")
    except ValueError:
        get_logger().exception("a plugin failed", plugin="P")
    get_logger().warning("not told")
    text = capsys.readouterr().err
    assert "Traceback (most recent call last)" in text
    assert "ValueError: invalid literal" in text
    assert "not told" not in text


def test_text_that_is_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    for encoding in ("json", "console"):
        configure_logs("info", encoding)
        get_logger().info("file", path=b"\xff".decode("utf-8", "surrogateescape"))
    assert capsys.readouterr().err.encode().count(b"\n") == 2


def test_a_reader_that_is_gone_does_not_end_the_agent() -> None:
    code = (
        "import os, sys; from agent.logs import get_logger; r, w = os.pipe(); os.close(r);"
        "os.dup2(w, 2); [get_logger().error('x' * 9000) for _ in range(3)]; print('alive')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "alive\n"


def test_no_library_is_loaded_for_it() -> None:
    """What was 10 MB of the node's memory."""
    code = (
        "import agent.cli, agent.assembly, sys;"
        "print([one for one in ('asyncio', 'structlog', 'rich') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n"
