"""How a dataclass describes the keys of one mapping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NewType

Seconds = NewType("Seconds", float)
"""Written as ``24h``, ``1m30s``, ``500ms``; or as a number in the key's unit."""


@dataclass(frozen=True, slots=True)
class Key:
    """What the decoder, the writer and the reference need to know beside the type."""

    about: str
    """One line for the reference."""
    name: str = ""
    """As the document spells it, where Python cannot."""
    spellings: Mapping[str, str] = field(default_factory=dict)
    """Older spelling of a value → the one in use."""
    low: float | None = None
    high: float | None = None
    unit: float = 1.0
    """Seconds that a duration without a unit counts."""
    ours: bool = False
    """Not of the format's origin: other readers of ``version: 2`` do not know it."""


def about(words: str, **rest: Any) -> dict[str, Key]:
    """The ``metadata`` of a dataclass field."""
    return {"key": Key(words, **rest)}
