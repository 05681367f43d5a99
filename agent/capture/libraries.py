"""Finds every file that holds OpenSSL and keeps probes on it.

A probe belongs to a file (its inode), so one attachment serves all processes, those of
tomorrow as well. New files are told by the kernel when a process maps one as code.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from pathlib import Path

from agent.capture.elf import ElfFile
from agent.capture.errors import BpfError
from agent.capture.layout import LIBRARY_KEY, Library
from agent.capture.libbpf import Link, Map, Object
from agent.capture.probes import Probe, probes_of

_FOLDERS = (
    f"/usr/lib/{platform.machine()}-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib64",
    "/usr/local/lib",
    "/lib",
)
_PATTERN = "libssl*.so*"
_NAME = "libssl"

_Identity = tuple[int, int]


class Libraries:
    """The probed files, by (device, inode)."""

    def __init__(self, programs: Object, seen: Map) -> None:
        self._programs = programs
        self._seen = seen
        self._links: dict[_Identity, list[Link]] = {}
        self.failures: dict[str, str] = {}
        """Path → why it could not be probed."""

    @property
    def attached(self) -> int:
        return sum(1 for links in self._links.values() if links)

    def attach_all(self, further: Iterable[Path]) -> None:
        """The system's own libraries, the given ones, and what any process has mapped."""
        for path in (*_installed(), *map(str, further)):
            self.attach(path)
        for path in _mapped_anywhere():
            self.attach(path)

    def attach_mapped(self, library: Library) -> None:
        """The kernel saw a process map this one."""
        path = mapped_file(library.tgid, library.mapped_at)
        if path is None or not self.attach(path):
            return
        self._seen.put(LIBRARY_KEY.pack(library.inode_address, library.inode), b"\1")

    def attach(self, path: str) -> bool:
        """Probe a file unless it is already. False: the file has gone."""
        try:
            identity = _identity(path)
            if identity in self._links:
                return True
            self._links[identity] = self._attach(path)
        except OSError:
            return False
        except (ValueError, BpfError) as error:
            self._links[identity] = []
            self.failures[path] = str(error)
        return True

    def _attach(self, path: str) -> list[Link]:
        elf = ElfFile(path)
        try:
            wanted = probes_of(elf)
        finally:
            elf.close()
        return self._attach_probes(path, wanted)

    def _attach_probes(self, path: str, wanted: list[Probe]) -> list[Link]:
        """All or none; the return first, so that no call is left without its end."""
        links: list[Link] = []
        attach = self._programs.attach_uprobe
        try:
            for probe in wanted:
                links.append(attach("tls_return", path, probe.offset, at_return=True))
                links.append(attach(probe.program, path, probe.offset, at_return=False))
        except BpfError:
            _close(links)
            raise
        return links

    def close(self) -> None:
        _close([link for links in self._links.values() for link in links])
        self._links.clear()


def _close(links: list[Link]) -> None:
    """About 0.1 s each: the kernel waits for every processor, one removal after the other."""
    for link in links:
        link.close()


def _identity(path: str) -> _Identity:
    status = Path(path).stat()
    return status.st_dev, status.st_ino


def _installed() -> Iterator[str]:
    for folder in _FOLDERS:
        yield from sorted(map(str, Path(folder).glob(_PATTERN)))


def _mapped_anywhere() -> Iterator[str]:
    """One path for each distinct library file that some process has mapped as code."""
    known: set[tuple[str, str]] = set()
    for pid in _processes():
        for span, device, inode, file in _code_mappings(pid):
            if _NAME in file and (device, inode) not in known:
                known.add((device, inode))
                yield f"/proc/{pid}/map_files/{span}"


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def mapped_file(pid: int, address: int) -> str | None:
    """A path to the file mapped there that works across mount namespaces and after deletion."""
    for span, _, _, _ in _code_mappings(pid):
        start, end = (int(edge, 16) for edge in span.split("-"))
        if start <= address < end:
            return f"/proc/{pid}/map_files/{span}"
    return None


def _code_mappings(pid: int) -> Iterator[tuple[str, str, str, str]]:
    """(span, device, inode, file) of a process's executable file mappings; none if it is gone."""
    try:
        text = Path(f"/proc/{pid}/maps").read_text(errors="replace")
    except (OSError, ValueError):
        return
    for line in text.splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and "x" in fields[1] and fields[4] != "0":
            span = "-".join(f"{int(edge, 16):x}" for edge in fields[0].split("-"))
            yield span, fields[3], fields[4], fields[5]
