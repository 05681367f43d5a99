"""One direction of one connection, read message by message as its bytes come by.

The reader is told bytes, gaps and the end; it tells a ``Handler`` where messages begin
and end. It never raises, whatever the bytes, and holds at most one unfinished head
(``MAX_HEAD_BYTES``), charged to a shared ``Budget``.

Losing and finding the way: after broken bytes, or a gap that does not end inside a body
of known length, the reader is *lost*. It is found again where a call's bytes begin as a
message begins: programs write a message from the beginning of a call.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final

from agent.http.budget import Budget
from agent.http.framing import Framing, Handler

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_CHUNK_LINE: Final = 4_096
_PLAUSIBLE_WITHIN: Final = 64
_CRLF: Final = b"\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"
_CHUNK_SIZE: Final = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?\r?\Z", re.DOTALL)
_NOTHING: Final = bytearray()


class State(IntEnum):
    """Ordered: what is below ``CHUNK_SIZE`` but ``HEAD`` counts bytes, from ``LOST`` on skips."""

    HEAD = 0
    LENGTH = 1
    CHUNK_DATA = 2
    UNTIL_CLOSE = 3
    CHUNK_SIZE = 4
    CHUNK_END = 5
    TRAILER = 6
    LOST = 7
    LOST_IN_CHUNKS = 8
    DOUBT = 9
    """The peer refused the body that was announced; the next call tells whether it comes."""
    STOPPED = 10


# Plain integers for the hot path: comparing members of an enumeration costs more.
HEAD: Final = int(State.HEAD)
LENGTH: Final = int(State.LENGTH)
CHUNK_DATA: Final = int(State.CHUNK_DATA)
UNTIL_CLOSE: Final = int(State.UNTIL_CLOSE)
CHUNK_SIZE: Final = int(State.CHUNK_SIZE)
CHUNK_END: Final = int(State.CHUNK_END)
TRAILER: Final = int(State.TRAILER)
LOST: Final = int(State.LOST)
LOST_IN_CHUNKS: Final = int(State.LOST_IN_CHUNKS)
DOUBT: Final = int(State.DOUBT)
STOPPED: Final = int(State.STOPPED)

_AFTER_HEAD: Final = {
    int(Framing.LENGTH): LENGTH,
    int(Framing.CHUNKED): CHUNK_SIZE,
    int(Framing.UNTIL_CLOSE): UNTIL_CLOSE,
    int(Framing.STOP): STOPPED,
    int(Framing.LOST): LOST,
}


def head_end(data: bytes | bytearray, start: int) -> int:
    """Where the head that begins at ``start`` ends, behind its blank line; -1: not here."""
    end = data.find(b"\n\r\n", start)
    if end < 0:
        bare = data.find(b"\n\n", start)
        return bare + 2 if bare >= 0 else -1
    bare = data.find(b"\n\n", start, end + 1)
    return bare + 2 if bare >= 0 else end + 3


class Reader:
    """See the module. ``keep`` is set by the handler: it wants the bodies."""

    __slots__ = (
        "_began",
        "_budget",
        "_cut",
        "_handler",
        "_head_size",
        "_held",
        "_left",
        "_resume",
        "_synced",
        "keep",
        "size",
        "skipped",
        "state",
    )

    def __init__(self, handler: Handler, budget: Budget) -> None:
        self.state = HEAD
        self.keep = False
        self.size = 0
        """Bytes so far of the message under way."""
        self.skipped = 0
        """Bytes that belonged to no message."""
        self._handler = handler
        self._budget = budget
        self._held = _NOTHING
        self._left = 0
        self._resume = HEAD
        self._head_size = 0
        self._began = 0
        self._cut = False
        self._synced = False

    @property
    def in_message(self) -> bool:
        """A head was read whose message has not ended."""
        return HEAD < self.state < LOST or self.state in {LOST_IN_CHUNKS, DOUBT}

    @property
    def body_untouched(self) -> bool:
        """A head was read, and no byte of its body."""
        return self.in_message and self.size == self._head_size

    def feed(self, data: bytes, now: int) -> None:
        """The bytes of one call."""
        if self.state >= LOST:
            if not self._find_way(data, now):
                return
        elif self._held:
            joined = self._join(data)
            if joined is None:
                return
            data = joined
        position = 0
        size = len(data)
        while position < size:
            state = self.state
            if not state:
                position = self._head(data, position, now)
            elif state < CHUNK_SIZE:
                position = self._bytes(data, position, now)
            elif state < LOST:
                position = self._line(data, position, now)
            else:
                self.skipped += size - position
                return

    def gap(self, missing: int, now: int) -> None:
        """``missing`` bytes that the call had and nobody saw, at the end of the last ``feed``."""
        state = self.state
        if state in {UNTIL_CLOSE, LOST_IN_CHUNKS}:
            self.size += missing
            self._cut = True
        elif state == LENGTH:
            self._gap_in_length(missing, now)
        elif state == CHUNK_DATA:
            self._gap_in_chunk(missing, now)
        elif state == HEAD:
            self._gap_in_head(missing, now)
        elif state < LOST:
            self.size += missing
            self._lose_in_chunks()

    def close(self, now: int) -> None:
        """No byte will follow. A head that never became whole is counted only."""
        if self.state == UNTIL_CLOSE:
            self._finish(now, whole=True)
        elif self.in_message:
            self._finish(now, whole=False)
        elif self._held:
            self._handler.odd("unfinished-head")
        self._drop_held()
        self.state = STOPPED

    def stop(self) -> None:
        """What follows is not HTTP/1.1."""
        self._drop_held()
        self.state = STOPPED

    def doubt(self) -> None:
        """Whether the body follows that the head announced is open until the next call."""
        if self.body_untouched and self.state < LOST:
            self._resume = self.state
            self.state = DOUBT

    def reset(self) -> None:
        """The message under way is not one after all; the next byte begins another."""
        self._drop_held()
        self.state = HEAD
        self._began = 0
        self._cut = False

    # -- heads ---------------------------------------------------------------------

    def _head(self, data: bytes, position: int, now: int) -> int:
        if data[position] in _CRLF:
            return position + 1
        if not self._began:
            self._began = now
        end = data.find(b"\n\r\n", position)
        if end >= 0 and data.find(b"\n\n", position, end + 1) < 0:
            end += 3
        else:
            end = head_end(data, position)
        if end < 0 or end - position > MAX_HEAD_BYTES:
            return self._unfinished(data, position)
        head = data[position:end]
        # Once in step, the handler judges the start line; before, it may be anything.
        if not self._synced and not self._handler.plausible(head, 0, strict=True):
            return self._no_message("not-http", head, data)
        self._accept(head, now)
        left = self._left
        if self.state == LENGTH and end + left <= len(data) and not self.keep:
            # The whole body came in the same call, and nobody wants it: the usual case.
            self.size += left
            self._finish(now, whole=True)
            return end + left
        return end

    def _accept(self, head: bytes, now: int, *, unseen: int = 0) -> None:
        self._synced = True
        self.size = self._head_size = len(head) + unseen
        self._cut = False
        framing, self._left = self._handler.head(head, self._began)
        if framing:
            self.state = _AFTER_HEAD[framing]
            self._began = 0
        else:
            self._finish(now, whole=True)

    def _unfinished(self, data: bytes, position: int) -> int:
        rest = data[position:] if position else data
        if not self._handler.plausible(rest, 0, strict=not self._synced):
            return self._no_message("not-http", rest, data)
        if len(rest) > MAX_HEAD_BYTES:
            return self._no_message("head-too-large", rest, data)
        if not self._budget.take(len(rest)):
            return self._no_message("memory", rest, data)
        self._held = bytearray(rest)
        return len(data)

    def _join(self, data: bytes) -> bytes | None:
        """Held and new bytes, once there is something to be done with them."""
        held = self._held
        searched = len(held)
        if not self._budget.take(len(data)):
            self._no_message("memory", bytes(held), data)
            return None
        held += data
        growing = self.state == HEAD and _PLAUSIBLE_WITHIN <= searched <= MAX_HEAD_BYTES - len(data)
        # One byte at a time must not cost a copy of all that came before.
        if growing and head_end(held, searched - 3) < 0:
            return None
        joined = bytes(held)
        self._drop_held()
        return joined

    def _no_message(self, reason: str, head: bytes, data: bytes) -> int:
        """Bytes where a message should have begun; the rest of the call goes with them."""
        began = self._began
        self._drop_held()
        self.state = LOST
        self._began = 0
        self.skipped += len(head)
        if self._synced or self._handler.plausible(head, 0, strict=True):
            self._handler.broken(reason, head[:MAX_HEAD_BYTES], began)
        else:
            self._handler.odd(reason)
        return len(data)

    def _drop_held(self) -> None:
        if self._held:
            self._budget.give(len(self._held))
            self._held = _NOTHING

    # -- bodies --------------------------------------------------------------------

    def _bytes(self, data: bytes, position: int, now: int) -> int:
        taken = len(data) - position
        if self.state != UNTIL_CLOSE:
            taken = min(taken, self._left)
            self._left -= taken
        if self.keep:
            self._handler.body(data[position : position + taken])
        self.size += taken
        if not self._left:
            if self.state == LENGTH:
                self._finish(now, whole=True)
            elif self.state == CHUNK_DATA:
                self.state = CHUNK_END
        return position + taken

    def _line(self, data: bytes, position: int, now: int) -> int:
        end = data.find(b"\n", position)
        if end < 0:
            return self._unfinished_line(data, position, now)
        line = data[position:end]
        self.size += end + 1 - position
        if not self._framing_line(line, now):
            self._handler.odd("bad-chunk")
            self.state = LOST
            self._finish_lost(now)
        return end + 1

    def _framing_line(self, line: bytes, now: int) -> bool:
        """A line between chunks; ``False`` if it cannot be one."""
        if self.state == CHUNK_SIZE:
            match = _CHUNK_SIZE.match(line) if len(line) <= MAX_CHUNK_LINE else None
            if match is None:
                return False
            self._left = int(match[1], 16)
            self.state = CHUNK_DATA if self._left else TRAILER
            if not self._left:
                self._left = MAX_HEAD_BYTES
            return True
        if self.state == CHUNK_END:
            self.state = CHUNK_SIZE
            return line in {b"", b"\r"}
        self._left -= len(line)
        if line in {b"", b"\r"}:
            self._finish(now, whole=True)
        return self._left > 0

    def _unfinished_line(self, data: bytes, position: int, now: int) -> int:
        rest = data[position:]
        if len(rest) > MAX_CHUNK_LINE or not self._budget.take(len(rest)):
            self._handler.odd("bad-chunk")
            self.state = LOST
            self._finish_lost(now)
        else:
            self._held = bytearray(rest)
        return len(data)

    def _finish(self, now: int, *, whole: bool) -> None:
        self.state = HEAD
        self._began = 0
        self._handler.end(now, self.size, whole=whole, cut=self._cut)
        self._cut = False

    def _finish_lost(self, now: int) -> None:
        self._finish(now, whole=False)
        if self.state == HEAD:
            self.state = LOST

    # -- gaps ----------------------------------------------------------------------

    def _gap_in_length(self, missing: int, now: int) -> None:
        self._cut = True
        inside = min(missing, self._left)
        self._left -= inside
        self.size += inside
        if not self._left:
            self._finish(now, whole=True)
        if missing > inside and self.state == HEAD:
            self.state = LOST

    def _gap_in_chunk(self, missing: int, now: int) -> None:
        """Programs write a chunk, its line end and perhaps the last chunk in one call."""
        self._cut = True
        beyond = missing - self._left
        self.size += missing
        if beyond <= 0:
            self._left = -beyond
            self.state = CHUNK_DATA if self._left else CHUNK_END
        elif beyond == len(_CRLF):
            self.state = CHUNK_SIZE
        elif beyond == len(_CRLF) + len(_LAST_CHUNK):
            self._finish(now, whole=True)
        else:
            self._lose_in_chunks()

    def _gap_in_head(self, missing: int, now: int) -> None:
        """Of a head that was cut, the lines that are whole still tell what was asked."""
        held = bytes(self._held)
        self._drop_held()
        last = held.rfind(b"\n")
        if last < 0:
            self.state = LOST
            self._began = 0
            return
        self._accept(held[: last + 1] + b"\r\n", now, unseen=missing)
        if self.state == HEAD:
            self.state = LOST
        elif self.state < LOST:
            self._cut = True
            self.state = LOST_IN_CHUNKS

    def _lose_in_chunks(self) -> None:
        self._drop_held()
        self.state = LOST_IN_CHUNKS
        self._cut = True

    # -- finding the way back ------------------------------------------------------

    def _find_way(self, data: bytes, now: int) -> bool:
        """Whether ``data`` begins a message, so that reading goes on with it."""
        if self.state == STOPPED:
            self.skipped += len(data)
            return False
        if self._handler.begins(data):
            if self.state != LOST:
                self._finish(now, whole=False)
            self._handler.found()
            self.reset()
            return True
        if self.state == DOUBT:
            self.state = self._resume
            return True
        if self.state == LOST:
            self.skipped += len(data)
            return False
        self.size += len(data)
        if data.endswith(_LAST_CHUNK) and data[:-5][-2:] in {b"", _CRLF}:
            self._finish(now, whole=True)
        return False
