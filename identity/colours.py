"""Whether a colour can be read on the surfaces of both themes.

Contrast as WCAG 2.2 defines it (success criterion 1.4.3, "relative luminance").
"""

from __future__ import annotations

import re
from typing import Final, Literal

Theme = Literal["light", "dark"]

LEAST: Final = 4.5
DEFAULTS: Final[dict[Theme, str]] = {"light": "#0a5bae", "dark": "#6db3ff"}
SURFACES: Final[dict[Theme, tuple[str, ...]]] = {
    "light": ("#f6f7f9", "#ffffff", "#edf0f4", "#e6eaf0"),
    "dark": ("#0e1218", "#161b23", "#0a0d12", "#222a35"),
}
"""Canvas, surface, inset, hover, as in portal/frontend/css/tokens.css."""
ON_FILL: Final[dict[Theme, str]] = {"light": "#ffffff", "dark": "#0e1218"}
_TINT: Final = 0.08
_COLOUR: Final = re.compile(r"#[0-9a-f]{6}")


def is_colour(text: str) -> bool:
    return bool(_COLOUR.fullmatch(text))


def contrast(first: str, second: str) -> float:
    """1 to 21."""
    bright, dim = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def tint(accent: str, theme: Theme) -> str:
    """The quiet ground behind text of this colour."""
    ground = _channels(SURFACES[theme][1])
    mixed = (round(g + (a - g) * _TINT) for a, g in zip(_channels(accent), ground, strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def worst(accent: str, theme: Theme) -> float:
    """The lowest contrast of text in this colour, and of text on a button filled with it."""
    others = (*SURFACES[theme], ON_FILL[theme], tint(accent, theme))
    return min(contrast(accent, other) for other in others)


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(channel / 255) for channel in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(value: float) -> float:
    # The standard's own constants; it says 0.04045 since 2021, and no 8-bit value lies between.
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
