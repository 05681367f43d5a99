"""Child processes: started with a log of their own, stopped in order, never left behind."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


class StartError(RuntimeError):
    """A process did not come up; the message ends with the tail of its log."""


def _die_with_parent(how: signal.Signals) -> None:
    """A supervisor that is killed outright must not leave servers behind on its data folder."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, how)


@dataclass
class Child:
    """One running process and how to talk about it."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 15.0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it, or start it again: what an earlier start left of its group goes first.

        A server whose parent was killed outright would go on and hold port and spool.
        """
        if self.process is not None:
            self._end_group(self.process)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.environment),
                # Its own group: Ctrl-C reaches the supervisor alone, which stops in order.
                start_new_session=True,
                preexec_fn=partial(_die_with_parent, self.stop_signal),  # noqa: PLW1509  started before any thread
            )

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Return when ``ready()``; raise ``StartError`` when the process ends or time is up."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.exit_code() is not None:
                raise StartError(
                    f"{self.name} ended at start (exit {self.exit_code()}){self.tail()}"
                )
            if time.monotonic() > deadline:
                raise StartError(f"{self.name} was not ready after {seconds:.0f} s{self.tail()}")
            time.sleep(0.05)

    def exit_code(self) -> int | None:
        """``None`` while it runs."""
        return self.process.poll() if self.process else None

    def tail(self, lines: int = 12) -> str:
        """The end of the log, indented, headed by the log's path."""
        try:
            text = self.log.read_bytes()[-8_000:].decode(errors="replace")
        except OSError as error:
            text = str(error)
        last = "\n".join(f"    {line}" for line in text.splitlines()[-lines:])
        return f"\n  the end of {self.log}:\n{last}"

    def stop(self) -> None:
        """Ask, wait, then end its whole group."""
        process = self.process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(self.stop_signal)
            with suppress(subprocess.TimeoutExpired):
                process.wait(self.stop_seconds)
        self._end_group(process)
        process.wait()

    def _end_group(self, process: subprocess.Popen[bytes]) -> None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
