"""Which rollups a question may be answered from."""

from __future__ import annotations

from typing import Final

from pulse.rollups.manifest import manifest_of
from pulse.store.filters import TrafficFilter, micros
from pulse.store.rolled.cover import Cover, Manifest, cover
from pulse.store.rolled.kinds import DAY, HOUR, MINUTE, QUARTER
from pulse.store.rolled.read import Source, source_of
from qcloud.kernel.scope import Scope

_RANKED: Final = (DAY, HOUR, QUARTER)
_LEVELS: Final = (DAY, HOUR, QUARTER, MINUTE)


def manifest_for(scope: Scope, chosen: TrafficFilter) -> Manifest:
    """What is known of the range; nothing where rollups could not answer."""
    if source_of(chosen) is None:
        return Manifest()
    return manifest_of(scope, chosen.since, chosen.until)


def cover_for_series(
    chosen: TrafficFilter, manifest: Manifest, step_us: int, source: Source
) -> Cover:
    """Buckets of ``step_us`` out of levels that divide it; minutes exist of the total alone."""
    levels = [
        level
        for level in _LEVELS
        if not step_us % (level * 1_000_000) and (level != MINUTE or source.kind == "total")
    ]
    return cover(
        micros(chosen.since), micros(chosen.until), manifest, levels=levels, without=source.without
    )


def cover_for_ranks(chosen: TrafficFilter, manifest: Manifest, without: int) -> Cover:
    """The whole range as one bucket."""
    since, until = micros(chosen.since), micros(chosen.until)
    return cover(since, until, manifest, levels=_RANKED, without=without)
