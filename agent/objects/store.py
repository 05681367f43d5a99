"""What every object store can do."""

from __future__ import annotations

from typing import Protocol


class StoreError(Exception):
    """An object was not stored or not found. ``reason`` is a word for the counters."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ObjectStore(Protocol):
    """Keys are flat: 40 hexadecimal digits, the SHA-1 of the bytes."""

    kind: str

    def put(self, digest: str, data: bytes) -> None:
        """Store; storing the same again is harmless. Raises ``StoreError``."""
        ...

    def get(self, digest: str) -> bytes:
        """Raises ``StoreError``."""
        ...

    def check(self) -> None:
        """Whether the store can be written now. Raises ``StoreError`` that says what to do."""
        ...
