"""Texts as numbers, the same number wherever a text occurs."""

from __future__ import annotations

import threading
from itertools import count
from sys import getsizeof
from typing import Final

import numpy as np
import pyarrow as pa

from pulse.analytics.tiles.columns import Array

EMPTY: Final = 0
"""The number of the empty text."""
_OVERHEAD: Final = 120
"""Bytes of a text's number and of its places in a list and a dictionary, about."""

_serials = count(1)


class Strings:
    """Numbers of the texts of one account, in the order in which they were met."""

    def __init__(self) -> None:
        self.serial: Final = next(_serials)
        """No other of this process has it, now or ever."""
        self.nbytes = 0
        """Memory of all texts, about."""
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {"": EMPTY}
        self._texts = [""]

    def __len__(self) -> int:
        return len(self._texts)

    def text(self, number: int) -> str:
        return self._texts[number]

    def number(self, text: str) -> int:
        with self._lock:
            return self._number(text)

    def numbers(self, column: pa.ChunkedArray) -> Array:
        """Of a column of dictionaries."""
        found = [self._chunk(chunk) for chunk in column.chunks]
        return np.concatenate(found) if found else np.zeros(0, np.uint32)

    def _chunk(self, chunk: pa.DictionaryArray) -> Array:
        with self._lock:
            numbers = [self._number(text) for text in chunk.dictionary.to_pylist()]
        known: Array = np.array(numbers or [EMPTY], np.uint32)
        places: Array = chunk.indices.to_numpy()
        return known.take(places)

    def _number(self, text: str) -> int:
        found = self._numbers.get(text)
        if found is None:
            found = len(self._texts)
            self._texts.append(text)
            self._numbers[text] = found
            self.nbytes += getsizeof(text) + _OVERHEAD
        return found
