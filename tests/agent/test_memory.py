"""Resident memory as the agent tells it."""

from __future__ import annotations

import mmap
import os

from agent.system import resident_bytes, seen_twice

SIZE = 16 * 1024 * 1024


def test_pages_that_are_mapped_twice_count_once() -> None:
    descriptor = os.memfd_create("ring")
    os.ftruncate(descriptor, SIZE)
    before = resident_bytes()
    with mmap.mmap(descriptor, SIZE) as first, mmap.mmap(descriptor, SIZE) as second:
        # Piece by piece: what a large one was made in may stay with the allocator.
        for place in range(0, SIZE, 4096):
            first[place : place + 4096] = b"x" * 4096
        assert second[::4096] == b"x" * (SIZE // 4096)
        both = resident_bytes() - before
        seen_twice(descriptor, SIZE)
        once = resident_bytes() - before
        seen_twice(descriptor, 0)
        assert resident_bytes() - before == both
    os.close(descriptor)
    assert both > 1.9 * SIZE
    assert 0.9 * SIZE < once < 1.5 * SIZE
