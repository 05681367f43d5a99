"""DNS over TCP: messages behind their length (RFC 1035, 4.2.2), from pieces of a stream."""

from __future__ import annotations

from typing import Final

_LENGTH: Final = 2


class Stream:
    """One direction of one connection. Bytes that were missed, or that are no DNS, end it:
    nothing tells where the next message begins.
    """

    __slots__ = ("_held", "lost")

    def __init__(self) -> None:
        self._held = bytearray()
        self.lost = False

    def feed(self, data: bytes, missing: int = 0) -> list[bytes]:
        """The messages that are whole now. Holds less than 65,537 bytes afterwards."""
        if self.lost:
            return []
        self._held += data
        messages = []
        at = 0
        while len(self._held) >= at + _LENGTH:
            end = at + _LENGTH + int.from_bytes(self._held[at : at + _LENGTH])
            if len(self._held) < end:
                break
            messages.append(bytes(self._held[at + _LENGTH : end]))
            at = end
        del self._held[:at]
        if missing:
            self.lose()
        return messages

    def lose(self) -> None:
        self.lost = True
        self._held.clear()
