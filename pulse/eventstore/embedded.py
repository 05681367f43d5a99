"""The engine's library, loaded with what its allocator must be told before.

Freed memory stays in the process for half a minute. By default a part of it goes back to the
kernel within five seconds, and what is larger than 64 MiB at once, so that every load had its
pages cleared anew: a third of the store's processor time while columns were loaded.
"""

from __future__ import annotations

import os
from typing import Final

# As jemalloc spells it. What is kept was in use before: the peak stays where it was.
_OPTIONS: Final = "dirty_decay_ms:30000,oversize_threshold:0"

os.environ.setdefault("JE_MALLOC_CONF", _OPTIONS)

import chdb  # noqa: E402  its allocator reads the environment when it is loaded, and never again

__all__ = ["chdb"]
