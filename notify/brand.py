"""How a message presents itself; the caller knows whose customer it writes to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_COLOUR: Final = re.compile(r"#[0-9A-Fa-f]{6}\Z")


@dataclass(frozen=True, slots=True)
class Brand:
    """Name, colours and sender of a message. Raises ``ValueError`` for what is no colour."""

    product: str = "QCloud"
    accent: str = "#0A5BAE"
    """Of the heading and the button; ``on_accent`` is the button's text."""
    on_accent: str = "#FFFFFF"
    sender: str = ""
    """Address; empty: the platform's."""
    reply_to: str = ""
    footer: str = ""
    """A line at the end: who sent this, and where to write."""

    def __post_init__(self) -> None:
        for colour in (self.accent, self.on_accent):
            if not _COLOUR.match(colour):
                raise ValueError(f"a brand's colour is #RRGGBB, not {colour!r}")
