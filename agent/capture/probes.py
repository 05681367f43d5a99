"""Which instructions of a TLS library to probe.

A uprobe on ``push`` costs a ninth of one on ``sub``: the kernel emulates the first and
single-steps the second. OpenSSL's public functions begin with ``sub``, but ``SSL_read`` and
``SSL_read_ex`` call the same inner function, ``(ssl, buffer, size, *length)``, which begins
with ``push``; so do the two writes. Where both public functions agree on the callee, that one
is probed instead of them.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from agent.capture.elf import ElfFile, Function

_X86_64 = 62
_ENDBR64 = b"\xf3\x0f\x1e\xfa"
_CALL = 0xE8
_CALL_SIZE = 5
_SEARCHED = 96
"""Bytes of a public function in which its one call is looked for."""


class Probe(NamedTuple):
    """One instruction and the program that runs there; its return runs ``tls_return``."""

    program: str
    offset: int


_HANDSHAKE = "SSL_do_handshake"
_NAMES = ("SSL_read", "SSL_read_ex", "SSL_write", "SSL_write_ex", _HANDSHAKE)


def probes_of(elf: ElfFile) -> list[Probe]:
    """Empty: the file holds no OpenSSL."""
    functions = elf.functions(_NAMES)
    found: list[Probe] = []
    for verb in ("read", "write"):
        found += _probes_of_pair(elf, verb, functions)
    if found and _HANDSHAKE in functions:
        found.append(Probe("tls_handshake", functions[_HANDSHAKE].offset))
    return found


def _probes_of_pair(elf: ElfFile, verb: str, functions: dict[str, Function]) -> list[Probe]:
    plain, extended = functions.get(f"SSL_{verb}"), functions.get(f"SSL_{verb}_ex")
    inner = _shared_callee(elf, plain, extended) if plain and extended else None
    if inner is not None:
        return [Probe(f"tls_{verb}_ex", inner)]
    found = []
    if plain:
        found.append(Probe(f"tls_{verb}", plain.offset))
    if extended:
        found.append(Probe(f"tls_{verb}_ex", extended.offset))
    return found


def _shared_callee(elf: ElfFile, plain: Function, extended: Function) -> int | None:
    """The cheap instruction at the start of the function that both call, or ``None``."""
    if elf.machine != _X86_64:
        return None
    shared = _callees(elf, plain) & _callees(elf, extended)
    if len(shared) != 1:
        return None
    offset = shared.pop()
    if elf.data[offset : offset + 4] == _ENDBR64:
        offset += len(_ENDBR64)
    return offset if _is_push(elf.data[offset : offset + 2]) else None


def _callees(elf: ElfFile, function: Function) -> set[int]:
    """Offsets that a ``call`` in the function might reach and that begin like a function.

    Every byte 0xE8 is tried: what is no call by accident will hardly agree with its twin.
    """
    code = elf.data[function.offset : function.offset + min(function.size, _SEARCHED)]
    reached = set()
    for at in range(len(code) - _CALL_SIZE + 1):
        if code[at] != _CALL:
            continue
        (distance,) = struct.unpack_from("<i", code, at + 1)
        offset = _follow(elf, function.offset + at + _CALL_SIZE, distance)
        if offset is not None and _begins_function(elf, offset):
            reached.add(offset)
    return reached


def _follow(elf: ElfFile, offset: int, distance: int) -> int | None:
    address = elf.address(offset)
    return None if address is None else elf.offset(address + distance)


def _begins_function(elf: ElfFile, offset: int) -> bool:
    start = elf.data[offset : offset + 6]
    return _is_push(start.removeprefix(_ENDBR64))


def _is_push(code: bytes) -> bool:
    """``push`` of a register: 50-57, or with prefix 41."""
    code = code.removeprefix(b"\x41")
    return bool(code) and 0x50 <= code[0] <= 0x57
