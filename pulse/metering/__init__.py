"""Usage by hour: the figures that billing rates and every tier may see of those below it."""

from pulse.metering.counting import recompute_touched, recompute_usage
from pulse.metering.hours import UsageHourInfo, event_filter_for, usage_hours

__all__ = [
    "UsageHourInfo",
    "event_filter_for",
    "recompute_touched",
    "recompute_usage",
    "usage_hours",
]
