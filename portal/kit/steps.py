"""Steps of a timeline."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    title: str
    text: str
    state: str = ""
    """``ok``, ``now``, ``danger``, or empty: not yet."""
    command: str = ""
    href: str = ""
    link: str = ""

    @property
    def id(self) -> str:
        """Of the command's element, stable from one poll to the next."""
        return "step-" + "".join(c if c.isalnum() else "-" for c in self.title.lower())
