"""The settings of this room: how long events are kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from audit.policies import RETENTION
from qcloud.kernel import erasure
from qcloud.kernel.settings import duration, integer

_DAY: Final = timedelta(days=1)

EVENTS_KEPT: Final = duration(
    "pulse.retention.events",
    "Events",
    about="Where an account sets no period of its own. Usage that was billed stays countable.",
    group=RETENTION,
    default=90 * _DAY,
    low=7 * _DAY,
    high=3_660 * _DAY,
    sensitive=True,
)

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
erasure.keep("pulse_usagehour", "counts alone, and invoices rest on them")
erasure.keep("pulse_erasedaccount", "what the spool still holds of it is left out by this row")
