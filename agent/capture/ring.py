"""Reads a BPF ring buffer straight from its pages.

One page holds the consumer's position, the next the producer's, then the data follow, mapped
twice in a row so that no record is ever torn (Documentation/bpf/ringbuf.rst of the kernel).
"""

from __future__ import annotations

import mmap
import select
import struct
from collections.abc import Iterator

_HEADER = struct.Struct("=I4x")
_HEADER_SIZE = 8
_BUSY = 1 << 31
_DISCARDED = 1 << 30
_LENGTH = _DISCARDED - 1
_PAGE = mmap.PAGESIZE


def ring_size(wanted: int) -> int:
    """The next size that the kernel takes: a power of two, whole pages."""
    return max(_PAGE, 1 << (wanted - 1).bit_length())


class Ring:
    """The consumer's side of one ring buffer of ``size`` data bytes."""

    def __init__(self, fd: int, size: int) -> None:
        self._mask = size - 1
        self._own = mmap.mmap(fd, _PAGE)
        self._shared = mmap.mmap(fd, _PAGE + 2 * size, prot=mmap.PROT_READ, offset=_PAGE)
        self._consumer = memoryview(self._own).cast("Q")
        self._producer = memoryview(self._shared)[:8].cast("Q")
        self.data = memoryview(self._shared)[_PAGE:]
        self._epoll = select.epoll(1)
        # Edge-triggered: data at hand must not wake us, only the kernel's explicit call.
        self._epoll.register(fd, select.EPOLLIN | select.EPOLLET)

    def wait(self, seconds: float) -> bool:
        """Until the kernel calls (much waits, or it is urgent), at most ``seconds``."""
        return bool(self._epoll.poll(seconds))

    def records(self, limit: int) -> Iterator[tuple[int, int]]:
        """(offset in ``data``, length) of at most ``limit`` records, oldest first.

        A record may be overwritten as soon as the next one is asked for.
        """
        position = self._consumer[0]
        data, mask, header = self.data, self._mask, _HEADER.unpack_from
        try:
            for _ in range(limit):
                if position >= self._producer[0]:
                    return
                offset = position & mask
                (word,) = header(data, offset)
                if word & _BUSY:
                    return
                if not word & _DISCARDED:
                    yield offset + _HEADER_SIZE, word & _LENGTH
                position += ((word & _LENGTH) + _HEADER_SIZE + 7) & ~7
                self._consumer[0] = position
        finally:
            self._consumer[0] = position

    def close(self) -> None:
        self._epoll.close()
        for view in (self._consumer, self._producer, self.data):
            view.release()
        self._own.close()
        self._shared.close()
