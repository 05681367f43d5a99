"""Rollups: noted by the loader, counted by the worker, believed by whoever reads."""

from pulse.rollups.manifest import manifest_of
from pulse.rollups.rebuild import rebuild_account, rebuild_touched
from pulse.rollups.spans import touch
from pulse.rollups.versions import forget_old_versions

__all__ = ["forget_old_versions", "manifest_of", "rebuild_account", "rebuild_touched", "touch"]
