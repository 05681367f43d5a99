"""Keep freed memory in the process instead of giving it back after every batch.

A batch needs some megabytes for a few milliseconds. By default glibc takes such blocks from
the kernel and returns them, so that every page is faulted in again for every batch: a fifth
of the processor time of ingest, measured at 5,000 events a batch.
"""

from __future__ import annotations

import ctypes
from typing import Final

import pyarrow as pa

# From malloc.h. What is kept is bounded by what the process needed at its peak.
_TRIM_THRESHOLD: Final = -1
_TOP_PAD: Final = -2
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
_KEPT: Final = 512 * 1024 * 1024
_PAD: Final = 64 * 1024 * 1024


def keep_freed_memory() -> bool:
    """Tell the C library; ``False`` where it is not glibc and nothing was changed."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # Arrow brings an allocator of its own, which gives back what it frees.
    pa.set_memory_pool(pa.system_memory_pool())
    # Arenas of single threads are small and trimmed on their own: use the main one alone.
    wanted = (
        (_ARENA_MAX, 1),
        (_MMAP_THRESHOLD, _KEPT),
        (_TRIM_THRESHOLD, _KEPT),
        (_TOP_PAD, _PAD),
    )
    answers = [mallopt(option, value) for option, value in wanted]
    return all(answer == 1 for answer in answers)
