"""How long a session lasts: by portal, since its last use and since its beginning."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final


@dataclass(frozen=True)
class Limits:
    idle: timedelta
    absolute: timedelta


_CLOUD: Final = Limits(timedelta(minutes=15), timedelta(hours=12))
_OTHERS: Final = Limits(timedelta(hours=1), timedelta(hours=24))
"""NIST SP 800-63B-4: AAL3's for those who can do everything, AAL2's for the others."""

STEP: Final = timedelta(minutes=15)
"""For a sign-in that is not complete: a second factor to give, a set-up to finish."""


def limits(portal: str) -> Limits:
    return _CLOUD if portal == "admin" else _OTHERS
