"""libbpf by ctypes: only the calls that capture makes, each checked.

libbpf 1.x; functions return NULL or a negative errno on failure.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from agent.capture.errors import BpfError

_NAME = "libbpf.so.1"
_Pointer = ctypes.c_void_p
_PRINT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_WARNING = 0
_MESSAGE_SPACE = 1 << 16

_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "bpf_object__open_file": (_Pointer, [ctypes.c_char_p, _Pointer]),
    "bpf_object__load": (ctypes.c_int, [_Pointer]),
    "bpf_object__close": (None, [_Pointer]),
    "bpf_object__next_map": (_Pointer, [_Pointer, _Pointer]),
    "bpf_object__next_program": (_Pointer, [_Pointer, _Pointer]),
    "bpf_map__name": (ctypes.c_char_p, [_Pointer]),
    "bpf_map__fd": (ctypes.c_int, [_Pointer]),
    "bpf_map__reuse_fd": (ctypes.c_int, [_Pointer, ctypes.c_int]),
    "bpf_map__set_max_entries": (ctypes.c_int, [_Pointer, ctypes.c_uint32]),
    "bpf_map__set_initial_value": (ctypes.c_int, [_Pointer, ctypes.c_char_p, ctypes.c_size_t]),
    "bpf_map_update_elem": (
        ctypes.c_int,
        [ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint64],
    ),
    "bpf_map_lookup_elem": (ctypes.c_int, [ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p]),
    "bpf_map_delete_elem": (ctypes.c_int, [ctypes.c_int, ctypes.c_char_p]),
    "bpf_program__name": (ctypes.c_char_p, [_Pointer]),
    "bpf_program__attach": (_Pointer, [_Pointer]),
    "bpf_program__attach_uprobe": (
        _Pointer,
        [_Pointer, ctypes.c_bool, ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t],
    ),
    "bpf_link__destroy": (ctypes.c_int, [_Pointer]),
    "libbpf_num_possible_cpus": (ctypes.c_int, []),
    "libbpf_set_print": (_Pointer, [_PRINT]),
}


@cache
def library() -> ctypes.CDLL:
    """The shared library. Raises ``OSError`` when it is not installed."""
    loaded = ctypes.CDLL(_NAME, use_errno=True)
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(loaded, name)
        function.restype = result
        function.argtypes = arguments
    return loaded


def cpus() -> int:
    """Slots of a per-CPU map's value."""
    return int(library().libbpf_num_possible_cpus())


def _vsnprintf() -> Any:
    function = ctypes.CDLL(None).vsnprintf
    function.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p]
    return function


@contextmanager
def messages() -> Iterator[list[str]]:
    """Collects libbpf's warnings, the verifier's log among them, instead of printing them."""
    collected: list[str] = []
    render = _vsnprintf()

    def take(level: int, pattern: bytes, arguments: int) -> int:
        if level == _WARNING:
            space = ctypes.create_string_buffer(_MESSAGE_SPACE)
            render(space, _MESSAGE_SPACE, pattern, arguments)
            collected.append(space.value.decode(errors="replace").strip())
        return 0

    callback = _PRINT(take)
    library().libbpf_set_print(callback)
    try:
        yield collected
    finally:
        library().libbpf_set_print(_PRINT())


def _check(result: int, doing: str) -> None:
    if result < 0:
        code = ctypes.get_errno() or -result
        raise BpfError(f"{doing}: {os.strerror(code)} ({errno.errorcode.get(code, code)})")


def _pointer(result: int | None, doing: str) -> int:
    if not result:
        _check(-(ctypes.get_errno() or errno.EINVAL), doing)
    return result or 0


class Map:
    """A kernel map by its descriptor; keys and values are packed bytes."""

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name

    def put(self, key: bytes, value: bytes) -> None:
        _check(library().bpf_map_update_elem(self.fd, key, value, 0), f"write map {self.name}")

    def get(self, key: bytes, size: int) -> bytes | None:
        """``size`` bytes of value; ``None`` when the key is not there."""
        space = ctypes.create_string_buffer(size)
        if library().bpf_map_lookup_elem(self.fd, key, space) < 0:
            return None
        return space.raw

    def remove(self, key: bytes) -> bool:
        """False: it was not there."""
        return bool(library().bpf_map_delete_elem(self.fd, key) == 0)


class Link:
    """A program at its hook, until ``close``."""

    def __init__(self, pointer: int) -> None:
        self._pointer = pointer

    def close(self) -> None:
        if self._pointer:
            library().bpf_link__destroy(self._pointer)
            self._pointer = 0


class Object:
    """One compiled file: open, configure, load, attach, close."""

    def __init__(self, path: Path) -> None:
        self.name = path.name.removesuffix(".bpf.o")
        opened = library().bpf_object__open_file(os.fsencode(path), None)
        self._pointer = _pointer(opened, f"open {path}")
        self._maps = {library().bpf_map__name(each).decode(): each for each in self._walk("map")}
        self._programs = {
            library().bpf_program__name(each).decode(): each for each in self._walk("program")
        }

    def _walk(self, what: str) -> Iterator[int]:
        step = getattr(library(), f"bpf_object__next_{what}")
        current = step(self._pointer, None)
        while current:
            yield current
            current = step(self._pointer, current)

    def map_names(self) -> list[str]:
        return list(self._maps)

    def resize(self, map_name: str, entries: int) -> None:
        result = library().bpf_map__set_max_entries(self._maps[map_name], entries)
        _check(result, f"resize map {map_name}")

    def share(self, map_name: str, fd: int) -> None:
        """Use an existing map instead of creating one."""
        _check(library().bpf_map__reuse_fd(self._maps[map_name], fd), f"share map {map_name}")

    def constants(self, value: bytes) -> None:
        """Set the read-only data, which the verifier then treats as known."""
        for name, pointer in self._maps.items():
            if name.endswith(".rodata"):
                result = library().bpf_map__set_initial_value(pointer, value, len(value))
                _check(result, f"set constants of {self.name}")

    def load(self) -> None:
        with messages() as said:
            result = library().bpf_object__load(self._pointer)
            if result < 0:
                raise BpfError(f"load {self.name}: {_shorten(said) or os.strerror(-result)}")

    def map(self, name: str) -> Map:
        return Map(library().bpf_map__fd(self._maps[name]), name)

    def attach(self, program: str) -> Link:
        """To the hook that its section names."""
        with messages() as said:
            link = library().bpf_program__attach(self._programs[program])
        return Link(_pointer(link, f"attach {program}: {_shorten(said)}"))

    def attach_uprobe(self, program: str, path: str, offset: int, *, at_return: bool) -> Link:
        """To an instruction of a file, in every process that maps it."""
        with messages() as said:
            link = library().bpf_program__attach_uprobe(
                self._programs[program], at_return, -1, os.fsencode(path), offset
            )
        return Link(_pointer(link, f"attach {program} to {path}+{offset:#x}: {_shorten(said)}"))

    def close(self) -> None:
        if self._pointer:
            library().bpf_object__close(self._pointer)
            self._pointer = 0


def _shorten(said: list[str]) -> str:
    """The end of libbpf's words: there the verifier says what it minds."""
    return " ".join(" ".join(said).split())[-600:]
