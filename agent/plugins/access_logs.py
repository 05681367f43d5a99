"""``access_logs``: exchanges as lines on standard output."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from agent.plugins.base import NOTHING, Emit, Needs, Tools, rule_needs
from agent.plugins.subject import Subject
from agent.stores.text import transaction_text
from wire.config.plugins import AccessLogs, Level, Mode
from wire.objects import decode_transaction

_NEEDS: Final[dict[Mode, Needs]] = {
    "none": NOTHING,
    "summary": NOTHING,
    "details": Needs(headers=True),
    "full": Needs(headers=True, bodies=True),
}
_LEVELS: Final[dict[Mode, Level]] = {"details": "headers", "full": "full"}


class AccessLogsPlugin:
    def __init__(self, options: AccessLogs, tools: Tools) -> None:
        self._mode = options.mode
        self._format = options.format
        self._out = tools.out
        self._counters = tools.counters
        self._rules = [(tools.check(rule.name, rule.expr), rule.mode) for rule in options.rules]
        self.needs = _NEEDS[options.mode] | rule_needs([check for check, _ in self._rules])
        for _, mode in self._rules:
            self.needs |= _NEEDS[mode]
        self.idle = options.mode == "none" and not options.rules

    def finished(self, subject: Subject, emit: Emit) -> None:
        del emit
        mode = next((mode for check, mode in self._rules if check(subject)), self._mode)
        if mode == "none":
            return
        if not self._out.write(self._line(subject, mode), self._lost):
            self._lost()

    def _lost(self) -> None:
        self._counters.drop("event", "stdout-slow")

    def _line(self, subject: Subject, mode: Mode) -> bytes:
        if self._format == "json":
            return msgspec.json.encode(_document(subject, mode))
        if mode == "summary":
            return _summary(subject).encode("utf-8", "replace")
        transaction = decode_transaction(subject.transaction(_LEVELS[mode])[1])
        return transaction_text(transaction).encode("utf-8", "replace")


def _summary(subject: Subject) -> str:
    """Address, user, time, request, status, bytes, agent: the order of web servers' logs."""
    event = subject.event
    when = event.timestamp.strftime("%d/%b/%Y:%H:%M:%S +0000")
    request = _quoted(f"{event.method} {subject.plain_url} {event.protocol}")
    return (
        f'{event.source_ip} - - [{when}] "{request}" {event.status} {event.bytes_received} '
        f'"{_quoted(event.agent)}" {event.duration_us // 1000}ms {event.direction} {event.exe}'
    )


def _quoted(text: str) -> str:
    """A client chooses these letters; none of them ends the field."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _document(subject: Subject, mode: Mode) -> dict[str, Any]:
    if mode in _LEVELS:
        return dict(msgspec.json.decode(subject.transaction(_LEVELS[mode])[1]))
    event = subject.event
    return {
        "timestamp": event.timestamp,
        "method": event.method,
        "url": subject.plain_url,
        "status": event.status,
        "duration_ms": event.duration_us // 1000,
        "bytes_sent": event.bytes_sent,
        "bytes_received": event.bytes_received,
        "user_agent": event.agent,
        "direction": event.direction,
        "source_ip": event.source_ip,
        "destination_ip": event.destination_ip,
        "process_exe": event.exe,
    }
