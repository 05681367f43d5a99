"""``dashboards_50m``: as ``bench.rolled``, five times as much; some minutes."""

from __future__ import annotations

from bench.rolled import fifty as run

__all__ = ["run"]
