"""Tabs of a page: links, so that each is an address."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tab:
    label: str
    href: str
    current: bool = False
    count: int | None = None
