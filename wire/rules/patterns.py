"""Regular expressions in time linear in the text, whatever the expression.

RE2 is the engine: it has no back-references and cannot be made to hang. A pattern is
compiled once; what it said of short texts is remembered, since hosts and paths repeat.
"""

from __future__ import annotations

from typing import Any, Final

import re2

from wire.rules.errors import RuleError
from wire.rules.tokens import Pattern

MAX_PATTERN: Final = 4_096
MAX_MEMORY: Final = 1 << 20
"""Bytes that one compiled expression may use; RE2 refuses a larger one."""
MAX_INSTRUCTIONS: Final = 200_000
"""Of all expressions of one document. A path's has twenty; this much takes half a second to
compile, and whoever writes the document may not be whose machine reads it."""
_TOO_LARGE: Final = MAX_INSTRUCTIONS // 5
"""What finding out that one is too large counts for."""

_KEPT: Final = 1_024
_LONGEST_KEPT: Final = 512


class Searcher:
    """One compiled expression."""

    __slots__ = ("_known", "_search", "instructions")

    def __init__(self, source: str) -> None:
        options = re2.Options()
        options.log_errors = False
        options.max_mem = MAX_MEMORY
        compiled: Any = re2.compile(source, options)
        self._search = compiled.search
        self.instructions = int(compiled.programsize)
        self._known: dict[str, bool] = {}

    def __call__(self, text: str) -> bool:
        known = self._known.get(text)
        if known is not None:
            return known
        # A lone surrogate, from the name of a file or a variable, has no UTF-8.
        found = self._search(text.encode("utf-8", "replace").decode()) is not None
        if len(text) <= _LONGEST_KEPT:
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[text] = found
        return found


_searchers: dict[str, Searcher] = {}


def searcher(pattern: Pattern | str, offset: int = 0) -> Searcher:
    """Raises ``RuleError`` for what is no expression, or too large a one."""
    source = pattern.source if isinstance(pattern, Pattern) else pattern
    if len(source) > MAX_PATTERN:
        raise RuleError(f"a regular expression of more than {MAX_PATTERN:,} characters", offset)
    found = _searchers.get(source)
    if found is None:
        try:
            found = Searcher(source)
        except (re2.error, UnicodeEncodeError) as error:
            raise RuleError(f"not a regular expression: {_words(error)}", offset) from error
        if len(_searchers) >= _KEPT:
            _searchers.clear()
        _searchers[source] = found
    return found


class Allowance:
    """What the expressions of one document may cost together."""

    def __init__(self) -> None:
        self._left = MAX_INSTRUCTIONS
        self._known: set[str] = set()

    def searcher(self, pattern: Pattern | str, offset: int = 0) -> Searcher:
        """Raises ``RuleError``, as ``searcher`` does and when nothing is left."""
        source = pattern.source if isinstance(pattern, Pattern) else pattern
        if source in self._known:
            return searcher(source, offset)
        if self._left <= 0:
            raise RuleError("too many large regular expressions in one document", offset)
        try:
            found = searcher(source, offset)
        except RuleError as error:
            self._left -= _TOO_LARGE if "too large" in error.message else 1
            raise
        self._left -= found.instructions
        self._known.add(source)
        return found


def search(pattern: Pattern, text: str) -> bool:
    """Whether the expression is found anywhere in ``text``."""
    return searcher(pattern)(text)


def _words(error: Exception) -> str:
    reason = error.args[0] if error.args else error
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
