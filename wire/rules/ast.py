"""The tree of a rule. ``offset`` is where a node begins in the text."""

from __future__ import annotations

from dataclasses import dataclass

from wire.rules.tokens import Value


@dataclass(frozen=True, slots=True)
class Literal:
    value: Value
    offset: int


@dataclass(frozen=True, slots=True)
class Array:
    items: tuple[Literal, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Field:
    """``path`` as canonical name, ``text`` as written."""

    path: str
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function, or without arguments a macro."""

    name: str
    arguments: tuple[Operand, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Compare:
    operator: str
    left: Operand
    right: Operand
    offset: int


@dataclass(frozen=True, slots=True)
class Not:
    inner: Expression
    offset: int


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Expression, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Expression, ...]
    offset: int


Operand = Literal | Array | Field | Call
Expression = Operand | Compare | Not | And | Or
