"""Words into a tree: ``or`` binds least, then ``and``, then ``not``, then a comparison."""

from __future__ import annotations

import re
from typing import Final

from wire.rules.ast import And, Array, Call, Compare, Expression, Field, Literal, Not, Operand, Or
from wire.rules.errors import RuleError
from wire.rules.fields import canonical
from wire.rules.tokens import Network, Pattern, Token, tokens

MAX_DEPTH: Final = 64
MAX_NODES: Final = 2_000

_COMPARISONS: Final = frozenset({"==", "!=", ">", ">=", "<", "<=", "contains", "in", "matches"})
_BRACKET: Final = re.compile(r"\[\s*(?:\"((?:[^\"\\]|\\.)*)\"|(\d+))\s*\]")
_ESCAPE: Final = re.compile(r"\\(.)")


def parse_rule(text: str) -> Expression:
    """The tree of a rule.

    Raises ``RuleError``.
    """
    return _Parser(tokens(text)).whole()


class _Parser:
    def __init__(self, words: list[Token]) -> None:
        self._words = words
        self._at = 0
        self._depth = 0
        self._nodes = 0

    def whole(self) -> Expression:
        if self._next.kind == "end":
            raise RuleError("the rule is empty", 0)
        found = self._or()
        if self._next.kind != "end":
            raise RuleError("an operator is missing, or something is left over", self._next.offset)
        return found

    @property
    def _next(self) -> Token:
        return self._words[self._at]

    def _take(self, kind: str) -> Token | None:
        if self._next.kind != kind:
            return None
        self._at += 1
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise RuleError(f"more than {MAX_NODES:,} parts", self._next.offset)
        return self._words[self._at - 1]

    def _or(self) -> Expression:
        first = self._and()
        parts = [first]
        while self._take("or"):
            parts.append(self._and())
        return first if len(parts) == 1 else Or(tuple(parts), first.offset)

    def _and(self) -> Expression:
        first = self._not()
        parts = [first]
        while self._take("and"):
            parts.append(self._not())
        return first if len(parts) == 1 else And(tuple(parts), first.offset)

    def _not(self) -> Expression:
        word = self._take("not")
        if word is None:
            return self._comparison()
        self._deeper(word)
        inner = self._not()
        self._depth -= 1
        return Not(inner, word.offset)

    def _deeper(self, word: Token) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise RuleError(f"nested more than {MAX_DEPTH} deep", word.offset)

    def _comparison(self) -> Expression:
        opening = self._take("(")
        if opening is not None:
            self._deeper(opening)
            inner = self._or()
            self._depth -= 1
            self._expect(")", "the parenthesis is not closed", opening.offset)
            return inner
        left = self._operand()
        if self._next.kind == "not" and self._words[self._at + 1].kind in {"in", "contains",
                                                                          "matches"}:  # fmt: skip
            self._take("not")
            return Not(self._compare(left), left.offset)
        if self._next.kind in _COMPARISONS:
            return self._compare(left)
        return left

    def _compare(self, left: Operand) -> Compare:
        operator = self._next
        self._take(operator.kind)
        right = self._operand()
        _check(operator, left, right)
        return Compare(operator.kind, left, right, left.offset)

    def _operand(self) -> Operand:
        word = self._next
        if self._take("value"):
            assert word.value is not None  # noqa: S101  a value token has one
            return Literal(word.value, word.offset)
        if self._take("name"):
            return self._name(str(word.value), word.offset)
        if self._take("["):
            return self._array(word.offset)
        what = "the rule ends here" if word.kind == "end" else f"{word.kind!r} cannot stand here"
        raise RuleError(f"a field or a value is missing: {what}", word.offset)

    def _name(self, text: str, offset: int) -> Operand:
        if not self._take("("):
            return Field(canonical(_dotted(text)), text, offset)
        arguments: list[Operand] = []
        while not self._take(")"):
            if arguments:
                self._expect(",", "a comma is missing between arguments", self._next.offset)
            opening = self._next
            self._deeper(opening)
            arguments.append(self._operand())
            self._depth -= 1
        return Call(text, tuple(arguments), offset)

    def _array(self, offset: int) -> Array:
        items: list[Literal] = []
        while not self._take("]"):
            if items:
                self._expect(",", "a comma is missing in the list", self._next.offset)
            word = self._next
            if not self._take("value") or word.value is None:
                raise RuleError("a list holds values only, and ends with ]", word.offset)
            items.append(Literal(word.value, word.offset))
        return Array(tuple(items), offset)

    def _expect(self, kind: str, message: str, offset: int) -> None:
        if not self._take(kind):
            raise RuleError(message, offset)


def _dotted(text: str) -> str:
    """``headers["user-agent"]`` → ``headers.user-agent``."""
    return _BRACKET.sub(lambda found: "." + _ESCAPE.sub(r"\1", found[1] or found[2] or ""), text)


def _check(operator: Token, left: Operand, right: Operand) -> None:
    """What can be told to be wrong before any traffic was seen."""
    if operator.kind == "matches" and not _is_pattern(right):
        raise RuleError("matches takes a regular expression on its right: /…/", right.offset)
    if operator.kind == "in" and isinstance(right, Literal) and not _may_hold(right):
        raise RuleError("in takes a list, a network or a field on its right", right.offset)
    for side in (left, right):
        if operator.kind in {">", ">=", "<", "<="} and not _has_order(side):
            raise RuleError(f"{operator.kind} compares numbers, texts and addresses", side.offset)


def _is_pattern(operand: Operand) -> bool:
    return isinstance(operand, Literal) and isinstance(operand.value, Pattern | str)


def _may_hold(literal: Literal) -> bool:
    return isinstance(literal.value, Network | str)


def _has_order(operand: Operand) -> bool:
    if isinstance(operand, Literal):
        return not isinstance(operand.value, bool | Pattern | Network)
    return not isinstance(operand, Array)
