"""From an invoice line to the events behind it."""

from __future__ import annotations


def line_events_filter(line, scope):
    return None
