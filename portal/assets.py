"""Names of the built scripts and styles, which carry a hash of their content."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Final

from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static

MANIFEST: Final = Path(__file__).resolve().parent / "static" / "dist" / "manifest.json"


def asset_url(name: str) -> str:
    """The address of ``app.js``, ``chart.js`` or ``portal.css`` as built.

    Raises ``ImproperlyConfigured`` when the front end has not been built.
    """
    names = _read(MANIFEST.stat().st_mtime_ns) if MANIFEST.exists() else {}
    if name not in names:
        raise ImproperlyConfigured(
            f"The front end lacks {name}: run `npm ci && npm run build` in portal/frontend."
        )
    return static(f"dist/{names[name]}")


@lru_cache(maxsize=2)
def _read(_changed: int) -> dict[str, str]:
    names: dict[str, str] = json.loads(MANIFEST.read_text())
    return names
