"""UUIDs as text into their sixteen bytes, a column at a time."""

from __future__ import annotations

import binascii
from typing import Final

import numpy as np
import pyarrow as pa

_SIZE: Final = 36
_HYPHENS: Final = (8, 13, 18, 23)


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
    text = data.slice(int(bounds[0]), _SIZE * count).to_pybytes()
    characters = np.frombuffer(text, dtype=np.uint8).reshape(count, _SIZE)
    if any((characters[:, place] != ord("-")).any() for place in _HYPHENS):
        return None
    try:
        # Refuses whatever is no digit, and so every other hyphen too: it leaves too few of them.
        octets = binascii.unhexlify(text.translate(None, b"-"))
    except binascii.Error:
        return None
    if len(octets) != 16 * count:
        return None
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), count, [None, pa.py_buffer(octets)])
