"""What is wrong with a rule, and where in its text."""

from __future__ import annotations


class RuleError(ValueError):
    """``offset`` counts characters from 0 in the expression."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


class MacroError(RuleError):
    """What is wrong with a macro, or with all of them together, told where it is called."""
