"""The settings of this room, and what it keeps of an account that is erased."""

from __future__ import annotations

from typing import Final

from audit.policies import RETENTION
from pulse.retention import limits  # noqa: F401  its settings are declared there
from qcloud.kernel import erasure
from qcloud.kernel.settings import integer

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

ERASURE: Final = erasure.step("pulse", order=20)
erasure.keep("pulse_usagefreeze", "what an invoice was computed from, and nobody may change it")
erasure.keep("pulse_usagehour", "counts alone, and invoices rest on them")
erasure.keep("pulse_erasedaccount", "what the spool still holds of it is left out by this row")
