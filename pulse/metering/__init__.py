"""Usage by hour: the figures that billing rates and every tier may see of those below it."""

from pulse.metering.counting import recompute_touched, recompute_usage
from pulse.metering.freezing import FrozenUsage, broken_freezes, freeze_usage, usage_freeze
from pulse.metering.hours import (
    UsageHourInfo,
    UsageRanking,
    UsageSum,
    event_filter_for,
    usage_hours,
    usage_ranking,
    usage_sums,
    usage_sums_within,
)

__all__ = [
    "FrozenUsage",
    "UsageHourInfo",
    "UsageRanking",
    "UsageSum",
    "broken_freezes",
    "event_filter_for",
    "freeze_usage",
    "recompute_touched",
    "recompute_usage",
    "usage_freeze",
    "usage_hours",
    "usage_ranking",
    "usage_sums",
    "usage_sums_within",
]
