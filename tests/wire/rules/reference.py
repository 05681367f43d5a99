"""A second reading of the rule language, as plainly as it can be written.

It walks the tree, knows no fast ways, and looks regular expressions up with Python's own
engine. ``None`` is missing, ``"failed"`` cannot be evaluated.
"""

# ruff: noqa: PLR0911  a table of cases is what makes it plain
from __future__ import annotations

import ipaddress
import re
from typing import Any

from wire.rules import ast
from wire.rules.tokens import Network, Pattern

FAILED = "failed"
Answer = bool | str | None


def evaluate(node: Any, fields: dict[str, Any]) -> Answer:
    if isinstance(node, ast.Or):
        return _join([evaluate(part, fields) for part in node.parts], decisive=True)
    if isinstance(node, ast.And):
        return _join([evaluate(part, fields) for part in node.parts], decisive=False)
    if isinstance(node, ast.Not):
        answer = evaluate(node.inner, fields)
        return not answer if isinstance(answer, bool) else answer
    if isinstance(node, ast.Compare):
        return compare(node, fields)
    value = operand(node, fields)
    if value is None:
        return None
    if value == FAILED:
        return FAILED
    return True if _is_address(value) or isinstance(value, Network | Pattern) else bool(value)


def _join(answers: list[Answer], *, decisive: bool) -> Answer:
    if any(answer is decisive for answer in answers):
        return decisive
    if FAILED in answers:
        return FAILED
    return None if None in answers else not decisive


def operand(node: Any, fields: dict[str, Any]) -> Any:
    if isinstance(node, ast.Literal):
        return node.value
    if isinstance(node, ast.Array):
        return tuple(item.value for item in node.items)
    if isinstance(node, ast.Field):
        return fields.get(node.path)
    value, prefix = (operand(argument, fields) for argument in node.arguments)
    if value is None or prefix is None:
        return None
    if isinstance(value, list | tuple | dict) or isinstance(prefix, list | tuple | dict):
        return FAILED
    return written(value).startswith(written(prefix))


def written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.source if isinstance(value, Pattern) else str(value)


def compare(node: ast.Compare, fields: dict[str, Any]) -> Answer:
    left, right = operand(node.left, fields), operand(node.right, fields)
    if left is None or right is None:
        return None
    if FAILED in (left, right):
        return FAILED
    if node.operator == "!=":
        answer = same(left, right)
        return not answer if isinstance(answer, bool) else answer
    if node.operator == "matches":
        return found(left, right if isinstance(right, Pattern) else Pattern(right))
    if node.operator == "in":
        if isinstance(left, list):
            return any(holds(right, item) is True for item in left)
        return holds(right, left)
    if node.operator == "contains":
        return holds(left, right)
    return same(left, right) if node.operator == "==" else ordered(node.operator, left, right)


def found(left: Any, pattern: Pattern) -> Answer:
    if isinstance(left, list):
        return any(isinstance(item, str) and found(item, pattern) is True for item in left)
    if isinstance(left, bool) or not (isinstance(left, str | int | float) or _is_address(left)):
        return FAILED
    return re.search(pattern.source, str(left)) is not None


def ordered(symbol: str, left: Any, right: Any) -> Answer:
    if _is_address(left) and isinstance(right, str):
        right = _address(right)
    elif _is_address(right) and isinstance(left, str):
        left = _address(left)
    numbers = _is_number(left) and _is_number(right)
    alike = type(left) is type(right) and (isinstance(left, str | bytes) or _is_address(left))
    if not (numbers or alike):
        return FAILED
    return bool(
        {
            ">": lambda: left > right,
            ">=": lambda: left >= right,
            "<": lambda: left < right,
            "<=": lambda: left <= right,
        }[symbol]()
    )


def same(left: Any, right: Any) -> Answer:
    for one, other in ((left, right), (right, left)):
        if isinstance(one, list | tuple):
            if isinstance(other, list | tuple):
                pairs = zip(one, other, strict=False)
                return len(one) == len(other) and all(same(a, b) is True for a, b in pairs)
            return FAILED if isinstance(one, tuple) else any(same(x, other) is True for x in one)
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Network) and not isinstance(other, Pattern | bytes):
            return _in_network(one, other)
    for one, other in ((left, right), (right, left)):
        if _is_address(one) and (isinstance(other, str) or _is_address(other)):
            return bool(one == (_address(other) if isinstance(other, str) else other))
        if isinstance(one, Pattern):
            return found(other, one) if isinstance(other, str) else FAILED
        if isinstance(one, bytes) and isinstance(other, str):
            return one == other.encode()
    plain = type(left) is type(right) and isinstance(left, str | bool | bytes)
    return bool(left == right) if plain or (_is_number(left) and _is_number(right)) else FAILED


def _in_network(network: Any, other: Any) -> Answer:
    if isinstance(other, Network):
        return bool(network == other)
    address = _address(other) if isinstance(other, str) else other
    if address is None:
        return False
    return address in network if _is_address(address) else FAILED


def holds(whole: Any, part: Any) -> Answer:
    if isinstance(whole, list | tuple):
        return any(same(item, part) is True for item in whole)
    if isinstance(whole, dict):
        return part in whole if isinstance(part, str) else FAILED
    if isinstance(whole, Network):
        return FAILED if isinstance(part, Pattern | bytes | list | tuple) else (
            _in_network(whole, part))  # fmt: skip
    if isinstance(whole, str):
        if isinstance(part, Pattern):
            return found(whole, part)
        if isinstance(part, bytes):
            return part in whole.encode()
        return part in whole if isinstance(part, str) else FAILED
    if isinstance(whole, bytes) and isinstance(part, str | bytes):
        return (part.encode() if isinstance(part, str) else part) in whole
    return FAILED


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_address(value: Any) -> bool:
    return isinstance(value, ipaddress.IPv4Address | ipaddress.IPv6Address)


def _address(text: str) -> Any:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
