"""Reads a BPF ring buffer straight from its pages.

One page holds the consumer's position, the next the producer's, then the data follow, mapped
twice in a row so that no record is ever torn (Documentation/bpf/ringbuf.rst of the kernel).
"""

from __future__ import annotations

import mmap
import select
import struct

from agent.system import seen_twice

HEADER = "=I4x"
"""Before each record; a ``struct`` format, so that header and record are unpacked in one go."""
HEADER_SIZE = struct.calcsize(HEADER)
BUSY = 1 << 31
DISCARDED = 1 << 30
LENGTH = DISCARDED - 1
_PAGE = mmap.PAGESIZE


def ring_size(wanted: int) -> int:
    """The next size that the kernel takes: a power of two, whole pages."""
    return max(_PAGE, 1 << (wanted - 1).bit_length())


class Ring:
    """The consumer's side of one ring buffer of ``size`` data bytes.

    Positions count bytes since the start and never wrap; ``data[offset + position & mask]`` is
    what a position points at.
    """

    def __init__(self, fd: int, size: int) -> None:
        self.mask = size - 1
        self._own = mmap.mmap(fd, _PAGE)
        self.data = mmap.mmap(fd, _PAGE + 2 * size, prot=mmap.PROT_READ, offset=_PAGE)
        """One page of the producer, then the records; a slice is a copy."""
        seen_twice(id(self), size)
        self.offset = _PAGE
        # Whole words: a position must never be read or written in halves.
        self._consumer = memoryview(self._own).cast("Q")
        self._producer = memoryview(self.data)[:8].cast("Q")
        self._epoll = select.epoll(1)
        # Edge-triggered: data at hand must not wake us, only the kernel's explicit call.
        self._epoll.register(fd, select.EPOLLIN | select.EPOLLET)

    def wait(self, seconds: float) -> bool:
        """Until the kernel calls (much waits, or it is urgent), at most ``seconds``."""
        return bool(self._epoll.poll(seconds))

    def span(self) -> tuple[int, int]:
        """Positions of the oldest record and of the end of the newest."""
        return self._consumer[0], self._producer[0]

    def release(self, position: int) -> None:
        """Give the kernel back everything before ``position``."""
        self._consumer[0] = position

    def close(self) -> None:
        self._epoll.close()
        self._consumer.release()
        self._producer.release()
        self._own.close()
        self.data.close()
        seen_twice(id(self), 0)
