"""Parts that must be real: skipped with a plain reason, or a failure where CI demands them."""

from __future__ import annotations

import os

import pytest


def require_real(part: str, present: object, reason: str) -> None:
    """Go on when ``present``; else skip, or fail under ``QCLOUD_REQUIRE_REAL=1``."""
    if present:
        return
    message = f"{part} is not available: {reason}"
    if os.environ.get("QCLOUD_REQUIRE_REAL") == "1":
        pytest.fail(f"{message} (QCLOUD_REQUIRE_REAL=1 allows no skip)")
    # The one skip there is: a machine may lack the part, and the summary (-ra) says which.
    pytest.skip(message)
