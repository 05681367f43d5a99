"""What the operators mean, value by value.

``FAILED`` is the answer where two values have nothing to do with each other: the rule
cannot be evaluated, and so does not pass.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

from wire.rules.patterns import search
from wire.rules.tokens import Address, Network, Pattern


class Unknown(Enum):
    """Neither true nor false."""

    MISSING = "missing"
    FAILED = "failed"


MISSING: Final = Unknown.MISSING
FAILED: Final = Unknown.FAILED

Outcome = bool | Unknown

_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip


def equals(left: Any, right: Any) -> Outcome:  # noqa: PLR0911  one return a pair of kinds
    """``left == right``. A list equals a value when one of its items does."""
    kind, other = type(left), type(right)
    if kind is other and kind in _ALIKE:
        return bool(left == right)
    if kind in _NUMBERS and other in _NUMBERS:
        return bool(left == right)
    if isinstance(left, list | tuple):
        return _list_equals(left, right)
    if isinstance(right, list | tuple):
        return _list_equals(right, left)
    if isinstance(left, _SPECIAL):
        return _special(left, right)
    if isinstance(right, _SPECIAL):
        return _special(right, left)
    return FAILED


def order(symbol: str) -> Callable[[Any, Any], Outcome]:
    """``<`` and its kind: numbers, texts, bytes, addresses of one version."""
    compare = _ORDERS[symbol]

    def ordered(left: Any, right: Any) -> Outcome:
        if isinstance(left, Address) and isinstance(right, str):
            right = address_of(right)
        elif isinstance(right, Address) and isinstance(left, str):
            left = address_of(left)
        kind, other = type(left), type(right)
        if kind in _NUMBERS and other in _NUMBERS:
            return compare(left, right)
        if kind is other and kind in _ORDERED:
            return compare(left, right)
        return FAILED

    return ordered


def contains(left: Any, right: Any) -> Outcome:
    """A text holds a text, a list an item, a map a key, a network an address."""
    if isinstance(left, str):
        return _text_contains(left, right)
    if isinstance(left, list | tuple):
        return any(equals(item, right) is True for item in left)
    if isinstance(left, dict):
        return right in left if isinstance(right, str) else FAILED
    if isinstance(left, Network):
        return _special(left, right)
    if isinstance(left, bytes) and isinstance(right, bytes | str):
        return (right.encode("utf-8", "replace") if isinstance(right, str) else right) in left
    return FAILED


def within(left: Any, right: Any) -> Outcome:
    """``left in right``; of a list on the left one item suffices."""
    if isinstance(left, list):
        return any(contains(right, item) is True for item in left)
    return contains(right, left)


def matches(left: Any, pattern: Pattern) -> Outcome:
    """A regular expression, anywhere in the text; in one item of a list."""
    if isinstance(left, str):
        return search(pattern, left)
    if isinstance(left, list):
        return any(isinstance(item, str) and search(pattern, item) is True for item in left)
    if type(left) in _NUMBERS or isinstance(left, Address):
        return search(pattern, str(left))
    return FAILED


def truth(value: Any) -> Outcome:
    """Of a field on its own: whether it holds anything but nothing, zero or false."""
    if isinstance(value, Unknown):
        return value
    if isinstance(value, Address | Network | Pattern):
        return True
    return bool(value)


def starts_with(value: Any, prefix: Any) -> Outcome:
    """The one built-in function; anything but text is compared as it is written."""
    if isinstance(value, list | dict | tuple) or isinstance(prefix, list | dict | tuple):
        return FAILED
    return _written(value).startswith(_written(prefix))


@lru_cache(maxsize=4096)
def address_of(text: str) -> Address | None:
    """``None``: the text is no address."""
    try:
        return ip_address(text)
    except ValueError:
        return None


_NUMBERS: Final = frozenset({int, float})
_ALIKE: Final = frozenset({str, bytes, bool, IPv4Address, IPv6Address})
_ORDERED: Final = frozenset({str, bytes, IPv4Address, IPv6Address})
_SPECIAL: Final = (Network, Address, Pattern, bytes)


def _list_equals(items: list[Any] | tuple[Any, ...], other: Any) -> Outcome:
    if isinstance(other, list | tuple):
        same = len(items) == len(other)
        return same and all(equals(a, b) is True for a, b in zip(items, other, strict=False))
    if isinstance(items, tuple):
        return FAILED  # a list that the rule wrote equals lists alone; `in` looks inside
    return any(equals(item, other) is True for item in items)


def _special(value: Any, other: Any) -> Outcome:
    if isinstance(value, Pattern):
        return search(value, other) if isinstance(other, str) else FAILED
    if isinstance(value, bytes):
        return value == other.encode("utf-8", "replace") if isinstance(other, str) else FAILED
    if isinstance(other, Network):
        return other == value if isinstance(value, Network) else _holds(other, value)
    address = address_of(other) if isinstance(other, str) else other
    if address is None:
        return False
    if not isinstance(address, Address):
        return FAILED
    return _holds(value, address) if isinstance(value, Network) else bool(value == address)


def _holds(network: Network, address: Any) -> bool:
    return isinstance(address, Address) and address in network


def _text_contains(text: str, part: Any) -> Outcome:
    if isinstance(part, str):
        return part in text
    if isinstance(part, Pattern):
        return search(part, text)
    if isinstance(part, bytes):
        return part in text.encode("utf-8", "replace")
    return FAILED


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value.source if isinstance(value, Pattern) else value)
