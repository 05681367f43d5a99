"""The settings of this room, and what it keeps of an account that is erased."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from audit.policies import RETENTION
from pulse.retention import limits  # noqa: F401  its settings are declared there
from qcloud.kernel import erasure
from qcloud.kernel.settings import duration, integer

EVENTS_TAKEN: Final = integer(
    "pulse.takeout.requests",
    "Requests in an account's export",
    about="The newest ones; so many are in the archive that an account takes with it.",
    group=RETENTION,
    default=1_000_000,
    low=0,
    high=20_000_000,
    unit="requests",
)

EXPORT_ROWS: Final = integer(
    "pulse.export.requests",
    "Requests in an export",
    about="At most, in one file that somebody asks for on the page of requests.",
    group=RETENTION,
    default=5_000_000,
    low=1_000,
    high=50_000_000,
    unit="requests",
)
EXPORT_KEPT: Final = duration(
    "pulse.export.kept",
    "Exports of requests",
    about="So long a file can be downloaded; then it is removed.",
    group=RETENTION,
    default=timedelta(days=3),
    low=timedelta(hours=1),
    high=timedelta(days=30),
)

ERASURE: Final = erasure.step("pulse", order=20)
erasure.keep("pulse_usagefreeze", "what an invoice was computed from, and nobody may change it")
erasure.keep("pulse_usagehour", "counts alone, and invoices rest on them")
erasure.keep("pulse_erasedaccount", "what the spool still holds of it is left out by this row")
