"""When to try again: doubling pauses, each moved a little so that nobody comes in step."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Final

FIRST: Final = timedelta(seconds=30)
LONGEST: Final = timedelta(hours=1)
GIVE_UP: Final = timedelta(hours=24)
"""After this age a message is given up; greylisting and a night's outage are shorter."""
_JITTER: Final = 0.2


def pause(attempts: int, dice: random.Random | None = None) -> timedelta:
    """Before the next try, when ``attempts`` (1 or more) have failed."""
    doubled: int = 1 << min(attempts - 1, 20)
    whole = min(FIRST * doubled, LONGEST)
    chosen = dice or random.SystemRandom()
    return whole * (1 + _JITTER * (2 * chosen.random() - 1))
