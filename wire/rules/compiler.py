"""Trees into closures.

Three outcomes beside true and false are told apart by Kleene's logic: ``or`` is true when
one side is, whatever the other; ``and`` is false when one side is; else what is unknown
stays unknown. So a missing field never makes a rule pass, not even behind ``not``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from wire.rules.ast import And, Array, Call, Compare, Expression, Field, Literal, Not, Operand, Or
from wire.rules.errors import MacroError, RuleError
from wire.rules.fast import field_and_literal, field_in_texts, field_starts
from wire.rules.operations import (
    FAILED,
    MISSING,
    Outcome,
    Unknown,
    contains,
    equals,
    matches,
    order,
    starts_with,
    truth,
    within,
)
from wire.rules.parser import parse_rule
from wire.rules.patterns import Allowance, searcher
from wire.rules.tokens import Pattern

__all__ = ["FAILED", "MISSING", "Compiler", "Resolve", "Rule", "compile_rule"]

MAX_DEPTH: Final = 128
"""Of a rule with its macros written out: each level is a frame of the interpreter's stack."""
MAX_WEIGHT: Final = 4_000
"""Questions of a rule with its macros written out, each as often as it is called: a macro that
calls another twice, which calls a third twice, would else be asked for ever."""

Getter = Callable[[Any], Any]
"""From the subject to a field's value; ``None``: it has none."""
Resolve = Callable[[str], "Getter | None"]
"""Canonical name → how to get it; ``None``: there is no such field."""
Test = Callable[[Any], Outcome]

_NO_MACROS: Final[Mapping[str, str]] = MappingProxyType({})
_BINARY: Final[Mapping[str, Callable[[Any, Any], Outcome]]] = {
    "==": equals, "contains": contains, "in": within,
    ">": order(">"), ">=": order(">="), "<": order("<"), "<=": order("<="),
}  # fmt: skip


class Rule:
    """A compiled rule. ``evaluate(subject)`` is safe for any subject that ``resolve`` knows."""

    __slots__ = ("evaluate", "fields", "text")

    def __init__(self, text: str, evaluate: Test, fields: frozenset[str]) -> None:
        self.text = text
        self.evaluate = evaluate
        self.fields = fields
        """Canonical names, of macros too."""


class _Macro(NamedTuple):
    """A compiled macro, with what it adds to whoever calls it."""

    test: Test
    fields: frozenset[str]
    weight: int
    height: int


def compile_rule(text: str, resolve: Resolve, macros: Mapping[str, str] = _NO_MACROS) -> Rule:
    """Raises ``RuleError``: no rule, an unknown macro, or macros that call each other."""
    return Compiler(resolve, macros).rule(text)


class Compiler:
    """Rules that share their macros: each of these is compiled once, or refused once."""

    def __init__(self, resolve: Resolve, macros: Mapping[str, str] = _NO_MACROS) -> None:
        self._fields: set[str] = set()
        self._resolve = resolve
        self._macros = macros
        self._done: dict[str, _Macro | str] = {}
        """By name; a text says what is wrong with it."""
        self._open: list[str] = []
        self._weight = self._depth = self._deepest = 0
        self.expressions = Allowance()

    def rule(self, text: str) -> Rule:
        """Raises ``RuleError``."""
        self._weight = self._depth = self._deepest = 0
        self._fields = set()
        return Rule(text, self._test(parse_rule(text)), frozenset(self._fields))

    def _test(self, node: Expression) -> Test:
        self._depth += 1
        self._grow(1, 0, node)
        try:
            return self._made(node)
        finally:
            self._depth -= 1

    def _grow(self, weight: int, height: int, node: Expression) -> None:
        self._weight += weight
        self._deepest = max(self._deepest, self._depth + height)
        if self._deepest > MAX_DEPTH:
            raise MacroError(f"macros and rule are nested more than {MAX_DEPTH} deep", node.offset)
        if self._weight > MAX_WEIGHT:
            raise MacroError(
                f"more than {MAX_WEIGHT:,} questions with all macros written out", node.offset
            )

    def _made(self, node: Expression) -> Test:
        if isinstance(node, Or | And):
            parts = tuple([self._test(part) for part in node.parts])
            return _any(parts) if isinstance(node, Or) else _all(parts)
        if isinstance(node, Not):
            return _not(self._test(node.inner))
        if isinstance(node, Compare):
            return self._compare(node)
        if isinstance(node, Call):
            return self._call(node)
        get = self._operand(node)
        return lambda subject: MISSING if (value := get(subject)) is None else truth(value)

    def _compare(self, node: Compare) -> Test:
        left = self._operand(node.left)
        if node.operator == "matches":
            return _matches(left, self._pattern(node.right))
        if node.operator == "!=":
            return _not(self._compare(Compare("==", node.left, node.right, node.offset)))
        for side in (node.left, node.right):
            self._ready(side)
        fast = _fast(node, left)
        if fast is not None:
            return fast
        return _binary(_BINARY[node.operator], left, self._operand(node.right))

    def _operand(self, node: Operand) -> Getter:
        if isinstance(node, Literal):
            value = node.value
            return lambda _: value
        if isinstance(node, Array):
            values = tuple(item.value for item in node.items)
            return lambda _: values
        if isinstance(node, Field):
            self._fields.add(node.path)
            return self._resolve(node.path) or _nothing
        return self._call(node)

    def _ready(self, node: Operand) -> None:
        """Regular expressions are compiled now, so that a bad one is refused now."""
        for literal in node.items if isinstance(node, Array) else (node,):
            if isinstance(literal, Literal) and isinstance(literal.value, Pattern):
                self.expressions.searcher(literal.value, literal.offset)

    def _pattern(self, node: Operand) -> Pattern:
        assert isinstance(node, Literal)  # noqa: S101  the parser takes nothing else
        found = node.value if isinstance(node.value, Pattern) else Pattern(str(node.value))
        self.expressions.searcher(found, node.offset)
        return found

    def _call(self, node: Call) -> Getter:
        if node.name == "starts_with":
            if len(node.arguments) != 2:
                raise RuleError("starts_with takes a value and a prefix", node.offset)
            value, prefix = node.arguments
            if isinstance(prefix, Literal) and isinstance(prefix.value, str):
                return field_starts(self._operand(value), prefix.value, starts_with)
            return _binary(starts_with, self._operand(value), self._operand(prefix))
        if node.arguments or node.name not in self._macros:
            raise RuleError(f"there is no function or macro {node.name}()", node.offset)
        return self._macro(node)

    def _macro(self, node: Call) -> Getter:
        if node.name in self._open:
            circle = " → ".join([*self._open, node.name])
            raise MacroError(f"macros call each other in a circle: {circle}", node.offset)
        known = self._done.get(node.name)
        if known is None:
            known = self._compiled(node)
        elif isinstance(known, _Macro):
            self._fields |= known.fields
            self._grow(known.weight, known.height, node)
        if isinstance(known, str):
            raise MacroError(known, node.offset)
        return known.test

    def _compiled(self, node: Call) -> _Macro | str:
        outer = self._fields, self._weight, self._deepest
        self._fields, self._deepest = set(), self._depth
        self._open.append(node.name)
        try:
            test = self._test(parse_rule(self._macros[node.name]))
        except RuleError as error:
            inside = isinstance(error, MacroError)
            message = error.message if inside else f"in {node.name}(): {error.message}"
            # Also what is too much here alone: the document is refused, and soon.
            self._done[node.name] = message
            return message
        finally:
            self._open.pop()
            fields, deepest = self._fields, self._deepest
            self._fields, self._deepest = outer[0] | fields, max(outer[2], deepest)
        done = _Macro(test, frozenset(fields), self._weight - outer[1], deepest - self._depth)
        self._done[node.name] = done
        return done


def _fast(node: Compare, left: Getter) -> Test | None:
    if not isinstance(node.left, Field):
        return None
    if isinstance(node.right, Literal):
        return field_and_literal(node.operator, left, node.right.value)
    if node.operator == "in" and isinstance(node.right, Array):
        return field_in_texts(left, tuple(item.value for item in node.right.items))
    return None


def _nothing(subject: Any) -> None:
    del subject


def _binary(operation: Callable[[Any, Any], Outcome], left: Getter, right: Getter) -> Test:
    def run(subject: Any) -> Outcome:
        first = left(subject)
        if first is None:
            return MISSING
        second = right(subject)
        if second is None:
            return MISSING
        if isinstance(first, Unknown):
            return first
        if isinstance(second, Unknown):
            return second
        return operation(first, second)

    return run


def _matches(left: Getter, pattern: Pattern) -> Test:
    find = searcher(pattern)

    def run(subject: Any) -> Outcome:
        value = left(subject)
        if type(value) is str:
            return find(value)
        if value is None:
            return MISSING
        return value if isinstance(value, Unknown) else matches(value, pattern)

    return run


def _not(inner: Test) -> Test:
    def run(subject: Any) -> Outcome:
        outcome = inner(subject)
        if outcome is True:
            return False
        return True if outcome is False else outcome

    return run


def _any(parts: tuple[Test, ...]) -> Test:
    def run(subject: Any) -> Outcome:
        found: Outcome = False
        for part in parts:
            outcome = part(subject)
            if outcome is True:
                return True
            if outcome is not False and found is not FAILED:
                found = outcome
        return found

    return run


def _all(parts: tuple[Test, ...]) -> Test:
    def run(subject: Any) -> Outcome:
        found: Outcome = True
        for part in parts:
            outcome = part(subject)
            if outcome is False:
                return False
            if outcome is not True and found is not FAILED:
                found = outcome
        return found

    return run
