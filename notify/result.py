"""What came of one attempt, the same for every transport."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Result:
    outcome: Literal["sent", "temporary", "permanent"]
    status: int = 0
    """SMTP or HTTP status; 0 when there was no answer."""
    answer: str = ""
    """The first bytes of the answer, or the error in words."""

    @property
    def sent(self) -> bool:
        return self.outcome == "sent"


def shown(raw: bytes | str, limit: int = 300) -> str:
    """The beginning of somebody else's answer as one printable line."""
    text = raw[: limit * 4].decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    return "".join(c if c.isprintable() else " " for c in text)[:limit].strip()
