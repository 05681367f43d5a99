"""How long a session lasts: by portal, since its last use and since its beginning."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from identity import policies
from qcloud.kernel.scope import Tier
from qcloud.kernel.settings import value

PORTALS: Final = {"c": Tier.CUSTOMER, "r": Tier.RESELLER, "admin": Tier.CLOUD}
"""Portals by the first part of their address, and whose staff they are for."""

STEP: Final = timedelta(minutes=15)
"""For a sign-in that is not complete: a second factor to give, a set-up to finish."""


@dataclass(frozen=True)
class Limits:
    idle: timedelta
    absolute: timedelta


def limits(portal: str) -> Limits:
    """Those of the settings now; the strictest for a session of no portal."""
    tier = PORTALS.get(portal, Tier.CLOUD)
    return Limits(value(policies.SESSION_IDLE[tier]), value(policies.SESSION_ABSOLUTE[tier]))
