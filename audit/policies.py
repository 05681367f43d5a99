"""The settings of this room: how long its journals are kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from qcloud.kernel import erasure
from qcloud.kernel.settings import Group, duration

_DAY: Final = timedelta(days=1)

RETENTION: Final = Group(
    "retention",
    "Retention",
    "How long the platform keeps what it wrote down. What is older is removed by a nightly task.",
    50,
)
ACCESS_LOG_KEPT: Final = duration(
    "audit.retention.access",
    "Access log",
    about="Attempts to sign in. Names and addresses of people: keep no longer than needed.",
    group=RETENTION,
    default=400 * _DAY,
    low=30 * _DAY,
    high=3_660 * _DAY,
    sensitive=True,
)

erasure.keep("audit_entry", "append-only: that an account was erased stands there as well")
