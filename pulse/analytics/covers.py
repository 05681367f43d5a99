"""Which rollups a question may be answered from."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pulse.rollups.manifest import gone_of, manifest_of
from pulse.store.filters import TrafficFilter, micros, moment_of
from pulse.store.rolled.cover import Cover, Manifest, Units, cover, units
from pulse.store.rolled.kinds import DAY, HOUR, MINUTE, QUARTER
from pulse.store.rolled.read import Source, source_of
from qcloud.kernel.scope import Scope

_RANKED: Final = (DAY, HOUR, QUARTER)
_LEVELS: Final = (DAY, HOUR, QUARTER, MINUTE)


def manifest_for(scope: Scope, chosen: TrafficFilter) -> Manifest:
    """What is known of the range; of rollups nothing where they could not answer."""
    if source_of(chosen) is None:
        return gone_of(scope)
    return manifest_of(scope, chosen.since, chosen.until)


def cover_for_series(
    chosen: TrafficFilter, manifest: Manifest, step_us: int, source: Source
) -> Cover:
    """Buckets of ``step_us`` out of levels that divide it; minutes exist of the total alone."""
    levels = _levels_for(chosen, manifest, step_us, source)
    return cover(*_range(chosen), manifest, levels=levels, without=source.without)


def series_units(chosen: TrafficFilter, manifest: Manifest, step_us: int, source: Source) -> Units:
    """As ``cover_for_series``, unit by unit."""
    levels = _levels_for(chosen, manifest, step_us, source)
    return units(*_range(chosen), manifest, levels=levels, without=source.without)


def cover_for_ranks(chosen: TrafficFilter, manifest: Manifest, without: int) -> Cover:
    """The whole range as one bucket."""
    return cover(*_range(chosen), manifest, levels=_RANKED, without=without)


def ranks_units(chosen: TrafficFilter, manifest: Manifest, without: int) -> Units:
    """As ``cover_for_ranks``, unit by unit."""
    return units(*_range(chosen), manifest, levels=_RANKED, without=without)


def _levels_for(
    chosen: TrafficFilter, manifest: Manifest, step_us: int, source: Source
) -> list[int]:
    return [
        level
        for level in _LEVELS
        if not step_us % (level * 1_000_000)
        and (level != MINUTE or _minutes(chosen, manifest, source))
    ]


def _range(chosen: TrafficFilter) -> tuple[int, int]:
    return micros(chosen.since), micros(chosen.until)


def least_step(chosen: TrafficFilter, manifest: Manifest) -> int:
    """Seconds: finer buckets would be empty, because what they are made of is not kept."""
    source, since = source_of(chosen), micros(chosen.since)
    if source is None or manifest.keeps(0, since):
        return 1
    if _minutes(chosen, manifest, source):
        return MINUTE
    return next((length for length in (QUARTER, HOUR) if manifest.keeps(length, since)), DAY)


def kept_since(chosen: TrafficFilter, manifest: Manifest) -> datetime | None:
    """From when on there is anything to answer with; ``None``: over the whole range."""
    length = 0 if source_of(chosen) is None else DAY
    if manifest.keeps(length, micros(chosen.since)):
        return None
    return moment_of(manifest.gone[length] * 1_000_000)


def _minutes(chosen: TrafficFilter, manifest: Manifest, source: Source) -> bool:
    """Whether minutes can tell: they exist of the total alone."""
    return source.kind == "total" and manifest.keeps(MINUTE, micros(chosen.since))
