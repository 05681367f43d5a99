"""What this room does about accounts that end."""

from __future__ import annotations

from typing import Final

from qcloud.kernel import erasure

ERASURE: Final = erasure.step("fleet", order=10)
"""First: without tokens no agent sends anything more."""
