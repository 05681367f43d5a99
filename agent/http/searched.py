"""Headers that the configuration lets the platform search by: the only values in an event."""

from __future__ import annotations

from collections.abc import Sequence

from agent.http.headers import header_pairs, text
from agent.link.exchange import Exchange
from wire.events import MAX_HEADER_VALUE, MAX_TEXT_BYTES


def header_lines(exchange: Exchange, names: Sequence[str]) -> str:
    """``name: value`` of these headers (lower case, sorted) in request and response.

    Each value is cut; what does not fit the event's text is left out.
    """
    wanted = frozenset(names)
    found = {
        f"{name.lower()}: {text(value.encode('latin-1'), MAX_HEADER_VALUE)}"
        for head in (exchange.request_head, exchange.response_head)
        for name, value in header_pairs(head[head.find(b"\n") + 1 :])
        if head and value and name.lower() in wanted
    }
    lines, room = [], MAX_TEXT_BYTES
    for line in sorted(found):
        room -= len(line) + 1
        if room < 0:
            break
        lines.append(line)
    return "\n".join(lines)
