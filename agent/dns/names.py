"""Domain names in a message (RFC 1035, 3.1 and 4.1.4), without trusting any of its bytes.

A pointer must lead to before the name that it stands in, so that no chain of them has a
loop; what one leads to is read once a message, so that reading takes time linear in it.
"""

from __future__ import annotations

from typing import Final

HEADER_SIZE: Final = 12
MAX_NAME: Final = 255
"""Octets of a name, lengths and the root's included."""
_POINTER: Final = 0xC0
_MAX_POINTERS: Final = 126
_PLAIN: Final = frozenset(range(0x21, 0x7F)) - set(b'."();@$\\')
_SAFE: Final = bytes(sorted(_PLAIN))


class DnsError(ValueError):
    """Not a message as RFC 1035 has it; ``args[0]`` is a word for the counters."""


class Names:
    """Names of one message."""

    __slots__ = ("_data", "_known")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._known: dict[int, tuple[str, int]] = {}
        """By where a pointer leads: text of the rest of the name, and its octets."""

    def read(self, at: int, *, compressed: bool = True) -> tuple[str, int]:
        """The name at ``at`` in lower case, without a final dot (the root is ``.``), and the
        offset behind it. Raises ``DnsError``.
        """
        data, labels = self._data, []
        size, pointers, begin, behind = 0, 0, at, -1
        leads: list[tuple[int, int, int]] = []
        try:
            while length := data[at]:
                if length < _POINTER:
                    size += length + 1
                    labels.append(_label(data, at, length))
                    at += length + 1
                    continue
                target = (length & ~_POINTER) << 8 | data[at + 1]
                behind = at + 2 if behind < 0 else behind
                pointers += 1
                if not compressed or not HEADER_SIZE <= target < begin or pointers > _MAX_POINTERS:
                    raise DnsError("pointer")
                known = self._known.get(target)
                if known is not None:
                    if known[0] != ".":
                        labels.append(known[0])
                    size += known[1] - 1
                    break
                leads.append((target, len(labels), size))
                at = begin = target
            else:
                behind = at + 1 if behind < 0 else behind
        except IndexError:
            raise DnsError("short-name") from None
        size += 1
        if size > MAX_NAME:
            raise DnsError("long-name")
        for target, count, before in leads:
            self._known[target] = (".".join(labels[count:]) or ".", size - before)
        return ".".join(labels) or ".", behind

    def skip(self, at: int) -> int:
        """The offset behind the name at ``at``; a pointer is not followed."""
        data = self._data
        try:
            while length := data[at]:
                if length >= _POINTER:
                    return at + 2
                if length > 63:
                    raise DnsError("label")
                at += length + 1
        except IndexError:
            raise DnsError("short-name") from None
        return at + 1


def _label(data: bytes, at: int, length: int) -> str:
    if length > 63:
        raise DnsError("label")
    label = data[at + 1 : at + 1 + length]
    if len(label) < length:
        raise DnsError("short-name")
    if not label.translate(None, _SAFE):
        return label.decode("ascii").lower()
    return "".join(map(_character, label))


def _character(code: int) -> str:
    """As in a master file (RFC 1035, 5.1)."""
    return chr(code).lower() if code in _PLAIN else f"\\{code:03d}"
