"""Columns that are worked out from others: addresses and vendor.

Each distinct value is looked at once; what is done for every row is arithmetic on numbers.
"""

from __future__ import annotations

import socket
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pulse.loader.vendors import vendor_of

_EXTERNAL: Final = "egress-external"
_MAPPED: Final = bytes(10) + b"\xff\xff"


def addresses(texts: Any) -> Any:
    """IPv6 in sixteen bytes, IPv4 mapped into it; whatever is no address becomes ``::``.

    The engine would refuse the whole block for one text that is not an address.
    """
    encoded = _encoded(texts)
    distinct = [_packed(text) for text in encoded.dictionary.to_pylist()]
    return pc.take(pa.array(distinct, pa.binary(16)), encoded.indices)


def vendors(hosts: Any, directions: Any) -> Any:
    """Of outgoing requests to others; empty for all the rest."""
    host, direction = _encoded(hosts), _encoded(directions)
    known = [vendor_of(text) for text in host.dictionary.to_pylist()]
    names = pc.dictionary_encode(pa.array(["", *known], pa.string()))
    leaves = np.array([text == _EXTERNAL for text in direction.dictionary.to_pylist()])
    # Place 0 is the empty one.
    places = (_numbers(host.indices) + 1) * leaves[_numbers(direction.indices)]
    return _chosen(names, places)


def _chosen(names: Any, places: Any) -> Any:
    indices = pa.array(_numbers(names.indices)[places])
    return pa.DictionaryArray.from_arrays(indices, names.dictionary)


def _encoded(texts: Any) -> Any:
    """As a dictionary in one chunk, a null as the empty text."""
    array = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    if array.null_count:
        array = pc.fill_null(array.cast(pa.string()), "")
    return array if isinstance(array, pa.DictionaryArray) else pc.dictionary_encode(array)


def _numbers(indices: Any) -> Any:
    return indices.to_numpy(zero_copy_only=False)


def _packed(text: str) -> bytes:
    try:
        if ":" in text:
            return socket.inet_pton(socket.AF_INET6, text)
        return _MAPPED + socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError):
        return bytes(16)
