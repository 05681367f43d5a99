"""Durations in buckets that are counted exactly, and percentiles out of them.

A bucket's key is the upper 14 bits of the duration as a 32-bit float: 32 buckets between
two powers of two. A percentile is the middle of the bucket in which it lies, within 1.6 % of
the exact one. Counts of buckets add up, so that a percentile out of rollups is the one that
the requests themselves give, to the bit.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

_DROPPED: Final = 18
KEY: Final = f"toUInt16(bitShiftRight(reinterpretAsUInt32(toFloat32(duration_us)), {_DROPPED}))"
QUANTILES: Final = "0.5, 0.95, 0.99"
PERCENTILES: Final = f"quantilesExactWeighted({QUANTILES})({KEY}, 1)"
P95: Final = f"quantileExactWeighted(0.95)({KEY}, 1)"


@lru_cache(maxsize=8_192)
def microseconds(key: int) -> float:
    """The middle of the bucket; 0 of the one that holds nothing but zeros."""
    if not key:
        return 0.0
    (value,) = struct.unpack("<f", struct.pack("<I", key << _DROPPED | 1 << (_DROPPED - 1)))
    return float(value)
