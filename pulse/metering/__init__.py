"""Usage by hour: the figures that billing rates and every tier may see of those below it."""

from pulse.metering.counting import recompute_touched, recompute_usage
from pulse.metering.hours import (
    UsageHourInfo,
    UsageSum,
    event_filter_for,
    usage_hours,
    usage_sums,
    usage_sums_within,
)

__all__ = [
    "UsageHourInfo",
    "UsageSum",
    "event_filter_for",
    "recompute_touched",
    "recompute_usage",
    "usage_hours",
    "usage_sums",
    "usage_sums_within",
]
