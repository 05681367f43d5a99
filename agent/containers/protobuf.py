"""As much of the protobuf encoding as reading and asking a runtime takes.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from typing import Final

_VARINT: Final = 0
_FIXED64: Final = 1
_BYTES: Final = 2
_FIXED32: Final = 5


class MalformedError(ValueError):
    """These bytes are no message."""


class Message:
    """Fields of length-delimited type, by number; all else is skipped."""

    def __init__(self, data: bytes) -> None:
        """Raises ``MalformedError``."""
        self._fields: dict[int, list[bytes]] = {}
        at = 0
        while at < len(data):
            key, at = _varint(data, at)
            kind = key & 7
            if kind == _BYTES:
                length, at = _varint(data, at)
                value = data[at : at + length]
                if len(value) != length:
                    raise MalformedError("a field ends after its message")
                self._fields.setdefault(key >> 3, []).append(value)
                at += length
            else:
                at = _skip(data, at, kind)

    def text(self, number: int) -> str:
        """The last one counts; empty where there is none."""
        return self._fields.get(number, [b""])[-1].decode("utf-8", "replace")

    def message(self, number: int) -> Message:
        return Message(self._fields.get(number, [b""])[-1])

    def messages(self, number: int) -> list[Message]:
        return [Message(one) for one in self._fields.get(number, [])]

    def mapping(self, number: int) -> dict[str, str]:
        return {entry.text(1): entry.text(2) for entry in self.messages(number)}


def _skip(data: bytes, at: int, kind: int) -> int:
    if kind == _VARINT:
        return _varint(data, at)[1]
    size = {_FIXED64: 8, _FIXED32: 4}.get(kind)
    if size is None or at + size > len(data):
        raise MalformedError(f"a field of type {kind}")
    return at + size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(10):
        if at + index >= len(data):
            break
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise MalformedError("a number without an end")
