"""``report_usage``: each exchange is a ``Request`` event."""

from __future__ import annotations

from agent.plugins.base import NOTHING, Emit, Tools
from agent.plugins.records import request_record
from agent.plugins.subject import Subject
from wire.config.plugins import ReportUsage


class ReportUsagePlugin:
    """For stores of the shape ``qtap``; the platform is told of every exchange anyway."""

    needs = NOTHING

    def __init__(self, options: ReportUsage, tools: Tools) -> None:
        del options
        self.idle = not any(store.shape == "qtap" for store in tools.stores.events)

    def finished(self, subject: Subject, emit: Emit) -> None:
        emit(request_record(subject))
