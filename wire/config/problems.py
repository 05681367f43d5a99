"""What is wrong with a configuration, and where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["error", "warning"]

NOWHERE: Final = (0, 0)
"""Position of a document that was not parsed from text."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. ``line`` and ``column`` count from 1; 0 where there is no text."""

    severity: Severity
    line: int
    column: int
    path: str
    """``tap.http.stack``, ``services.object_stores[0].bucket``; empty: the document."""
    message: str
    """What is wrong and what to do."""

    def __str__(self) -> str:
        place = f"{self.line}:{self.column}: " if self.line else ""
        path = f"{self.path}: " if self.path else ""
        return f"{place}{path}{self.message}"


class ConfigError(ValueError):
    """The document cannot be used. ``problems`` holds every error, and the warnings."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        errors = [problem for problem in self.problems if problem.severity == "error"]
        super().__init__("; ".join(str(problem) for problem in errors))
