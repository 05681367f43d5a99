"""Logs on standard error: JSON for machines, or lines for people.

Our own few lines: a library for this costs the node a sixth of the agent's memory. Whoever
reads standard error may go away or stop; nothing here raises, and nothing that captures waits.
"""

from __future__ import annotations

import atexit
import json
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final

from agent.stores.console import Console

LEVELS: Final = ("debug", "info", "warning", "error")
ENCODINGS: Final = ("json", "console")

Sink = Callable[[Mapping[str, Any]], None]
"""Given ``event``, ``log_level`` and the fields of each entry that is to be told."""
QUEUE_BYTES: Final = 512 * 1024
"""Lines that may wait for a reader."""
DRAIN_SECONDS: Final = 1.0
"""How long leaving waits for them."""
_COLOURS: Final = {"debug": "2", "info": "32", "warning": "33", "error": "31"}


class _Output:
    """Where entries go; one for the process."""

    def __init__(self) -> None:
        self.least = LEVELS.index("info")
        self.sink: Sink = _as_json
        self.write: Callable[[str], bool] = _write


class Log:
    """Entries with the fields that it is bound to."""

    __slots__ = ("_bound",)

    def __init__(self, bound: Mapping[str, Any]) -> None:
        self._bound = bound

    def bind(self, **fields: Any) -> Log:
        return Log({**self._bound, **fields})

    def debug(self, event: str, **fields: Any) -> None:
        self._tell("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._tell("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._tell("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._tell("error", event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """An error with the traceback of what is being handled."""
        self._tell("error", event, {**fields, "exception": traceback.format_exc()})

    def _tell(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        if LEVELS.index(level) >= output.least:
            output.sink({**self._bound, **fields, "event": event, "log_level": level})


def get_logger() -> Log:
    return Log({})


def configure_logs(level: str, encoding: str) -> None:
    """``level`` and ``encoding`` are among ``LEVELS`` and ``ENCODINGS``."""
    output.least = LEVELS.index(level)
    output.sink = _as_json if encoding == "json" else _as_line


def _as_json(entry: Mapping[str, Any]) -> None:
    shown = dict(entry)
    level = shown.pop("log_level")
    output.write(json.dumps({**shown, "level": level, "timestamp": _now()}, default=str))


def _as_line(entry: Mapping[str, Any]) -> None:
    shown = dict(entry)
    level, event, trace = shown.pop("log_level"), shown.pop("event"), shown.pop("exception", "")
    fields = " ".join(f"{name}={_value(value)}" for name, value in shown.items())
    line = f"{_now()} {_coloured(level)} {event}"
    output.write("\n".join(filter(None, [f"{line}  {fields}".rstrip(), trace.rstrip()])))


def _value(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and " " not in text else repr(text)


def _coloured(level: str) -> str:
    padded = f"{level:<7}"
    return f"\x1b[{_COLOURS[level]}m{padded}\x1b[0m" if sys.stderr.isatty() else padded


def _now() -> str:
    now = time.time()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1e6):06d}Z"


def behind_a_queue() -> None:
    """From now on lines are written by a thread; those for which there is no room are lost."""
    queue = Console(2, queue_bytes=QUEUE_BYTES)
    output.write = lambda line: queue.write(line.encode("utf-8", "replace"))
    atexit.register(queue.drain, DRAIN_SECONDS)


def _write(line: str) -> bool:
    try:
        # One call: lines of several threads do not mix.
        sys.stderr.write(line.encode("utf-8", "replace").decode() + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return False  # nobody reads any more; there is nowhere left to say so
    return True


output: Final = _Output()
