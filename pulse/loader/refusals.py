"""Whether the event store refuses the data, or cannot take any just now."""

from __future__ import annotations

import re
from typing import Final

from pulse.errors import StoreUnavailable
from pulse.store.client import ClickHouseError

_CODE: Final = re.compile(r"Code: (\d+)")
_NAME: Final = re.compile(r"\(([A-Z][A-Z_]{3,60})\)")
PATIENCE: Final = 20
"""Tries, about three minutes, until a refusal that is neither is taken for one of the data."""

# ClickHouse's own numbers (src/Common/ErrorCodes.cpp): what it says of values.
_DATA: Final = frozenset({
    6, 26, 27, 32, 33, 38, 41, 43, 53, 69, 70, 72, 117, 131, 321, 349, 395, 407, 441, 469, 675, 676,
    691,
})  # fmt: skip
# And of itself: memory, disk, network, other work, rights, a schema that is not there.
_ITSELF: Final = frozenset({
    16, 47, 48, 60, 74, 75, 76, 81, 87, 88, 95, 96, 159, 173, 198, 202, 203, 209, 210, 225, 236,
    241, 242, 243, 252, 279, 319, 373, 394, 425, 439, 497, 516, 518, 594, 665, 999,
})  # fmt: skip
_NO_ROOM: Final = "No space left"


class KillsStore(Exception):
    """The event store died of these rows, and of nothing else."""

    def __init__(self, times: int) -> None:
        self.times = times
        super().__init__(f"the event store died of it {times} times, and took others meanwhile")


def is_about_data(error: Exception, tries: int) -> bool:
    """Whether these rows, and not the store, are the reason; the ``tries``-th failure of them."""
    if isinstance(error, StoreUnavailable | OSError):
        return False
    if not isinstance(error, ClickHouseError):
        # The block could not even be made: the same rows fail the same way again.
        return True
    code = code_of(error)
    if code in _ITSELF or _NO_ROOM in str(error):
        return False
    return code in _DATA or tries >= PATIENCE


def code_of(error: Exception) -> int:
    """0: it has none."""
    match = _CODE.search(str(error))
    return int(match[1]) if match else 0


def reason_of(error: Exception) -> str:
    """In words for an operator, without any value of the events."""
    if isinstance(error, KillsStore):
        return str(error)
    if not isinstance(error, ClickHouseError):
        return f"no block could be made of it ({type(error).__name__})"
    name = _NAME.findall(str(error))
    return f"the event store refuses it: code {code_of(error)} {name[-1] if name else ''}".strip()
