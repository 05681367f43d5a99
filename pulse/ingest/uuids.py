"""UUIDs as text into their sixteen bytes, a column at a time."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

_SIZE: Final = 36
_HYPHENS: Final = np.array([8, 13, 18, 23])
_DIGITS: Final = np.array([i for i in range(_SIZE) if i not in {8, 13, 18, 23}])
_BAD: Final = 255


def _values() -> np.ndarray[Any, np.dtype[np.uint8]]:
    table = np.full(256, _BAD, dtype=np.uint8)
    for value, digits in enumerate(("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")):
        table[ord(digits)] = value
    for value, letter in enumerate("abcdef", start=10):
        table[ord(letter)] = table[ord(letter.upper())] = value
    return table


_VALUE: Final = _values()


def uuid_column(texts: pa.StringArray) -> pa.FixedSizeBinaryArray | None:
    """The values as ``fixed_size_binary(16)``.

    ``None`` unless every one is in the canonical form of RFC 9562, 36 characters; nulls are
    not allowed.
    """
    count = len(texts)
    _validity, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int32)[texts.offset : texts.offset + count + 1]
    if (np.diff(bounds) != _SIZE).any():
        return None
    characters = np.frombuffer(data, dtype=np.uint8)[bounds[0] : bounds[-1]].reshape(count, _SIZE)
    if (characters[:, _HYPHENS] != ord("-")).any():
        return None
    digits = _VALUE[characters[:, _DIGITS]]
    if (digits == _BAD).any():
        return None
    octets = (digits[:, 0::2] << 4) | digits[:, 1::2]
    buffer = pa.py_buffer(np.ascontiguousarray(octets))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), count, [None, buffer])
