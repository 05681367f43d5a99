"""What the agent's log says, as data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agent.logs import output


@contextmanager
def capture_logs() -> Iterator[list[dict[str, Any]]]:
    """Entries with ``event``, ``log_level`` and their fields; none is printed."""
    entries: list[dict[str, Any]] = []
    sink, output.sink = output.sink, lambda entry: entries.append(dict(entry))
    try:
        yield entries
    finally:
        output.sink = sink
