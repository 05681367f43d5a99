"""Closures for the comparisons that nearly every rule is made of.

Each answers the usual pair of types at once and leaves every other to the general
operation, so that both ways agree by construction.
"""

from __future__ import annotations

import operator as python
from collections.abc import Callable
from typing import Any, Final

from wire.rules.operations import MISSING, Outcome, Unknown, contains, equals, order, within
from wire.rules.tokens import Network, Value

Getter = Callable[[Any], Any]
Test = Callable[[Any], Outcome]

_ORDERS: Final = {">": python.gt, ">=": python.ge, "<": python.lt, "<=": python.le}
_KEPT: Final = 1_024


def field_and_literal(symbol: str, get: Getter, literal: Value) -> Test | None:
    """``field symbol literal``; ``None``: nothing faster than the general way is known."""
    kind = type(literal)
    if symbol == "==" and kind in {str, int}:
        return _same(get, literal, kind)
    if symbol == "contains" and isinstance(literal, str):
        return _holds(get, literal)
    if symbol in _ORDERS and kind in {int, float}:
        return _ordered(symbol, get, literal)
    if symbol == "in" and isinstance(literal, Network):
        return _inside(get, literal)
    return None


def field_in_texts(get: Getter, values: tuple[Any, ...]) -> Test | None:
    """``field in ["a", "b"]``."""
    if not all(type(value) is str for value in values):
        return None
    known = frozenset(values)

    def run(subject: Any) -> Outcome:
        value = get(subject)
        if type(value) is str:
            return value in known
        return _slow(value, lambda: within(value, values))

    return run


def field_starts(get: Getter, prefix: str, slow: Callable[[Any, Any], Outcome]) -> Test:
    """``starts_with(field, "prefix")``."""

    def run(subject: Any) -> Outcome:
        value = get(subject)
        if type(value) is str:
            return value.startswith(prefix)
        return _slow(value, lambda: slow(value, prefix))

    return run


def _slow(value: Any, general: Callable[[], Outcome]) -> Outcome:
    if value is None:
        return MISSING
    return value if isinstance(value, Unknown) else general()


def _same(get: Getter, literal: Any, kind: type) -> Test:
    def run(subject: Any) -> Outcome:
        value = get(subject)
        if type(value) is kind:
            return bool(value == literal)
        return _slow(value, lambda: equals(value, literal))

    return run


def _holds(get: Getter, literal: str) -> Test:
    def run(subject: Any) -> Outcome:
        value = get(subject)
        if type(value) is str:
            return literal in value
        return _slow(value, lambda: contains(value, literal))

    return run


def _ordered(symbol: str, get: Getter, literal: Any) -> Test:
    compare, general = _ORDERS[symbol], order(symbol)

    def run(subject: Any) -> Outcome:
        value = get(subject)
        if type(value) is int:
            return compare(value, literal)  # type: ignore[no-any-return]
        return _slow(value, lambda: general(value, literal))

    return run


def _inside(get: Getter, network: Network) -> Test:
    """Addresses repeat: what was found of one is remembered, a bounded number of them."""
    found: dict[str, Outcome] = {}

    def run(subject: Any) -> Outcome:
        value = get(subject)
        if type(value) is not str:
            return _slow(value, lambda: within(value, network))
        known = found.get(value)
        if known is None:
            if len(found) >= _KEPT:
                found.clear()
            known = found[value] = within(value, network)
        return known

    return run
