"""From the text of a rule to its words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

from wire.rules.errors import RuleError

MAX_LENGTH: Final = 16_384

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression's source."""

    source: str


Value = bool | int | float | str | bytes | Address | Network | Pattern


class Token(NamedTuple):
    """``kind``: ``value``, ``name``, ``end``, or the operator's own name."""

    kind: str
    value: Value | None
    offset: int


_BLANK: Final = re.compile(r"\s+")
_SYMBOLS: Final = {
    "||": "or", "&&": "and", "==": "==", "!=": "!=", ">=": ">=", "<=": "<=", "!": "not",
    ">": ">", "<": "<", "(": "(", ")": ")", "[": "[", "]": "]", ",": ",",
}  # fmt: skip
_WORDS: Final = {
    "or": "or", "and": "and", "not": "not", "contains": "contains", "in": "in",
    "matches": "matches", "eq": "==", "ne": "!=", "gt": ">", "ge": ">=", "lt": "<", "le": "<=",
}  # fmt: skip
_V4: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?(?![\w.:/])")
_COLONS: Final = re.compile(r"[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(?:/\d{1,3})?(?![\w/])")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d{1,3})?(?![\w.:])")
_HEX: Final = re.compile(r"(?:0x)?((?:[0-9A-Fa-f]{2})+)(?![\w.:])")
_MAC: Final = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})+\Z")
_NAME: Final = re.compile(
    r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+|\[\s*(?:\"(?:[^\"\\]|\\.)*\"|\d{1,4})\s*\])*"
)
_LONGEST_NUMBER: Final = 40


def tokens(text: str) -> list[Token]:
    """The words of a rule, ``end`` last.

    Raises ``RuleError``.
    """
    if len(text) > MAX_LENGTH:
        raise RuleError(f"longer than {MAX_LENGTH:,} characters", 0)
    found: list[Token] = []
    position = 0
    while True:
        blank = _BLANK.match(text, position)
        position = blank.end() if blank else position
        if position >= len(text):
            found.append(Token("end", None, position))
            return found
        token, position = _next(text, position)
        found.append(token)


def _next(text: str, at: int) -> tuple[Token, int]:
    letter = text[at]
    if letter in "\"'":
        return _quoted(text, at)
    if letter == "/":
        return _regex(text, at)
    literal = _literal(text, at)
    if literal is not None:
        return literal
    symbol = text[at : at + 2] if text[at : at + 2] in _SYMBOLS else letter
    if symbol in _SYMBOLS:
        return Token(_SYMBOLS[symbol], None, at), at + len(symbol)
    name = _NAME.match(text, at)
    if name is not None:
        return _word(name[0], at), name.end()
    raise RuleError(f"{letter!r} has no meaning here", at)


def _word(word: str, at: int) -> Token:
    lower = word.lower()
    if lower in {"true", "false"}:
        return Token("value", lower == "true", at)
    if lower in _WORDS:
        return Token(_WORDS[lower], None, at)
    return Token("name", word, at)


def _quoted(text: str, at: int) -> tuple[Token, int]:
    quote, position = text[at], at + 1
    letters: list[str] = []
    while position < len(text):
        letter = text[position]
        if letter == quote:
            return Token("value", "".join(letters), at), position + 1
        if letter == "\\" and position + 1 < len(text):
            position += 1
            letter = {"n": "\n", "t": "\t", "r": "\r"}.get(text[position], text[position])
        letters.append(letter)
        position += 1
    raise RuleError("the quotation mark is not closed", at)


def _regex(text: str, at: int) -> tuple[Token, int]:
    position = at + 1
    letters: list[str] = []
    while position < len(text):
        letter = text[position]
        if letter == "/":
            source, position = "".join(letters), position + 1
            if (
                text[position : position + 1] == "i"
                and not text[position + 1 : position + 2].isalnum()
            ):
                source, position = f"(?i){source}", position + 1
            return Token("value", Pattern(source), at), position
        if letter == "\\" and text[position + 1 : position + 2] == "/":
            letter, position = "/", position + 1
        elif letter == "\\":
            letter, position = text[position : position + 2], position + 1
        letters.append(letter)
        position += 1
    raise RuleError("the regular expression has no closing /", at)


def _literal(text: str, at: int) -> tuple[Token, int] | None:
    """An address, a network, a number or hexadecimal bytes."""
    if not (text[at].isascii() and (text[at].isalnum() or text[at] in ":-")):
        return None
    for expression, convert in ((_V4, _address), (_COLONS, _colons)):
        match = expression.match(text, at)
        if match is not None:
            return Token("value", convert(match[0], at), at), match.end()
    match = _NUMBER.match(text, at)
    if match is not None:
        return Token("value", _number(match[0], at), at), match.end()
    match = _HEX.match(text, at) if text[at].isdigit() else None
    if match is not None:
        return Token("value", bytes.fromhex(match[1]), at), match.end()
    if text[at].isdigit():
        raise RuleError("neither a number nor an address nor hexadecimal bytes", at)
    return None


def _address(word: str, at: int) -> Value:
    try:
        return ip_network(word, strict=False) if "/" in word else ip_address(word)
    except ValueError as error:
        raise RuleError(f"{word} is no address", at) from error


def _colons(word: str, at: int) -> Value:
    try:
        return ip_network(word, strict=False) if "/" in word else ip_address(word)
    except ValueError as error:
        if _MAC.match(word):
            return bytes.fromhex(word.replace(":", ""))
        raise RuleError(f"{word} is neither an address nor hexadecimal bytes", at) from error


def _number(word: str, at: int) -> int | float:
    if len(word) > _LONGEST_NUMBER:
        raise RuleError("a number with too many digits", at)
    return float(word) if any(letter in word for letter in ".eE") else int(word)
