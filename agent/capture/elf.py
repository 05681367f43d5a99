"""Where in an ELF file its functions begin (64-bit, little-endian).

Source: System V ABI, chapters "Object Files" and "Program Loading".
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_HEADER = struct.Struct("<16xHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_LOADED, _EXECUTABLE = 1, 1
_SYMTAB, _DYNSYM = 2, 11
_FUNCTION = 2
_MAGIC = b"\x7fELF\x02\x01"


class Function(NamedTuple):
    """A function's place in the file, in bytes."""

    offset: int
    size: int


class ElfFile:
    """A file to look functions up in. Raises ``ValueError`` if it is none of its kind."""

    def __init__(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.data = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
        finally:
            os.close(descriptor)
        try:
            self._read_header()
        except (ValueError, struct.error) as error:
            self.data.close()
            raise ValueError(f"{path} is no 64-bit ELF file: {error}") from error

    def _read_header(self) -> None:
        if self.data[:6] != _MAGIC:
            raise ValueError("wrong magic number")
        fields = _HEADER.unpack_from(self.data, 0)
        segments, sections, segment_count, section_count = (
            fields[4],
            fields[5],
            fields[9],
            fields[11],
        )
        self.machine = fields[1]
        self._segments = list(self._table(_SEGMENT, segments, segment_count))
        self._sections = list(self._table(_SECTION, sections, section_count))

    def _table(self, entry: struct.Struct, start: int, count: int) -> Iterator[tuple[int, ...]]:
        for index in range(count):
            yield entry.unpack_from(self.data, start + index * entry.size)

    def functions(self, names: Iterable[str]) -> dict[str, Function]:
        """The functions of these names that the file defines."""
        wanted = {name.encode() for name in names}
        found: dict[str, Function] = {}
        for section in self._sections:
            if section[1] in (_SYMTAB, _DYNSYM):
                self._search(section, wanted, found)
        return found

    def _search(
        self, section: tuple[int, ...], wanted: set[bytes], found: dict[str, Function]
    ) -> None:
        text = self._sections[section[6]][4]
        for name_at, info, _, _, address, size in self._table(
            _SYMBOL, section[4], section[5] // _SYMBOL.size
        ):
            if info & 0xF != _FUNCTION or not address:
                continue
            name = self.data[text + name_at : self.data.find(b"\0", text + name_at)]
            offset = self.offset(address)
            if name in wanted and offset is not None:
                found[name.decode()] = Function(offset, size)

    def offset(self, address: int) -> int | None:
        """Where in the file the code of an address is; ``None``: not code."""
        for kind, flags, offset, start, _, size, _, _ in self._segments:
            if kind == _LOADED and flags & _EXECUTABLE and start <= address < start + size:
                return address - start + offset
        return None

    def address(self, offset: int) -> int | None:
        """The inverse of :meth:`offset`."""
        for kind, flags, start, address, _, size, _, _ in self._segments:
            if kind == _LOADED and flags & _EXECUTABLE and start <= offset < start + size:
                return offset - start + address
        return None

    def close(self) -> None:
        self.data.close()
