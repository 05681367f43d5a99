"""Where an address is, by the operator's location database; nothing without one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import maxminddb
import structlog
from django.conf import settings

log: Final = structlog.get_logger(__name__)
_EARTH_KM: Final = 6_371


@dataclass(frozen=True)
class Location:
    name: str = ""
    """Country and city, in English; empty: not known."""
    latitude: float | None = None
    longitude: float | None = None

    @property
    def columns(self) -> dict[str, Any]:
        return {"place": self.name[:100], "latitude": self.latitude, "longitude": self.longitude}


def has_database() -> bool:
    return _reader() is not None


def locate(ip: str) -> Location:
    """By a database in MaxMind's format (city or country edition)."""
    reader = _reader()
    if reader is None:
        return Location()
    try:
        found: Any = reader.get(ip)
    except ValueError:  # not an address, or one of a family that the database lacks
        return Location()
    if not isinstance(found, dict):
        return Location()
    names = [(found.get(part) or {}).get("names", {}).get("en", "") for part in ("country", "city")]
    point = found.get("location") or {}
    return Location(
        ", ".join(name for name in names if name), point.get("latitude"), point.get("longitude")
    )


def kilometres(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Along the surface between two points in degrees, by the haversine formula."""
    lat1, lon1, lat2, lon2 = (math.radians(x) for x in (*a, *b))
    h = (
        math.sin((lat2 - lat1) / 2) ** 2
        + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    )
    return 2 * _EARTH_KM * math.asin(math.sqrt(min(1.0, h)))


def _reader() -> maxminddb.Reader | None:
    path: Path | None = settings.LOCATION_DATABASE
    if path is None:
        return None
    try:
        # The file is replaced by newer ones while we run.
        return _opened(str(path), path.stat().st_mtime_ns)
    except (OSError, maxminddb.InvalidDatabaseError) as error:
        log.warning("identity.location_database_unreadable", path=str(path), error=str(error))
        return None


@lru_cache(maxsize=1)
def _opened(path: str, _modified: int) -> maxminddb.Reader:
    return maxminddb.open_database(path)
