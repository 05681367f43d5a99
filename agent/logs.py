"""Logs on standard error: JSON for machines, or lines for people."""

from __future__ import annotations

import logging
import sys
from typing import Final

import structlog

LEVELS: Final = ("debug", "info", "warning", "error")
ENCODINGS: Final = ("json", "console")


def configure_logs(level: str, encoding: str) -> None:
    """``level`` and ``encoding`` are among ``LEVELS`` and ``ENCODINGS``."""
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if encoding == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
