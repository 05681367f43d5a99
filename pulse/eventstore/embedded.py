"""The engine's library, loaded with what its allocator must be told before.

Freed memory stays in the process for half a minute. By default a part of it goes back to the
kernel within five seconds, and what is larger than 64 MiB at once, so that every load had its
pages cleared anew: a third of the store's processor time while columns were loaded. By default,
too, each processor has memory of its own; what one load has left is found by the next one only
if few share more.
"""

from __future__ import annotations

import os
from typing import Final

_PROCESSORS_AN_ARENA: Final = 4


def _options(processors: int) -> str:
    """As jemalloc spells them. What is kept was in use before, once an arena at most."""
    arenas = max(1, processors // _PROCESSORS_AN_ARENA)
    return f"dirty_decay_ms:30000,oversize_threshold:0,percpu_arena:disabled,narenas:{arenas}"


os.environ.setdefault("JE_MALLOC_CONF", _options(len(os.sched_getaffinity(0))))

import chdb  # noqa: E402  its allocator reads the environment when it is loaded, and never again

__all__ = ["chdb"]
