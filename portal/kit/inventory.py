"""A third party as pages show it: its traffic in a range beside what the register knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from portal.kit import formats
from portal.kit.tables import Cell
from pulse.analytics import VendorRow
from pulse.inventory.selectors import VendorInfo

REVIEWS: Final = (
    ("open", "Not reviewed"), ("approved", "Approved"), ("refused", "Not approved"),
)  # fmt: skip
_TONES: Final = {"open": ("muted", "info"), "approved": ("ok", "check"),
                 "refused": ("danger", "danger")}  # fmt: skip
NOT_SCANNED: Final = "not scanned"
"""No finding about bodies reaches this register yet."""


@dataclass(frozen=True)
class VendorLine:
    row: VendorRow
    known: VendorInfo | None
    """``None``: called so recently, or by so much hostile traffic, that it is not registered."""

    @property
    def review(self) -> str:
        return self.known.review if self.known else "open"

    @property
    def first_seen(self) -> datetime:
        return min(self.row.first_seen, self.known.first_seen) if self.known else (
            self.row.first_seen
        )  # fmt: skip

    @property
    def owner(self) -> str:
        return self.known.owner if self.known else ""


def lines(rows: Sequence[VendorRow], known: Mapping[str, VendorInfo]) -> list[VendorLine]:
    return [VendorLine(row, known.get(row.vendor.replace("\0", "�"))) for row in rows]


def review_cell(review: str) -> Cell:
    tone, icon = _TONES[review]
    return Cell(dict(REVIEWS)[review], tone=tone, icon=icon)


def names_cell(values: Sequence[str]) -> Cell:
    """The first two and how many more; all of them on hover."""
    short = [value.rsplit("/", 1)[-1] for value in values[:2]]
    more = f" +{len(values) - 2}" if len(values) > 2 else ""
    return Cell((", ".join(short) + more) or formats.NONE, title="\n".join(values), clip=True)


def tls_words(row: VendorRow) -> str:
    """Versions, and how much went without."""
    words = [*row.tls_versions]
    if row.plain:
        words.append("none" if row.plain == row.requests else f"none for {row.plain:,}")
    return ", ".join(words) or "unknown"


def places_of(ids: Sequence[UUID], names: Mapping[UUID, str]) -> tuple[str, ...]:
    return tuple(sorted(names.get(i, str(i)) for i in ids))
