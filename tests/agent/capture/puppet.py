"""A process that does exactly what a test tells it, call by call."""

from __future__ import annotations

import subprocess
import textwrap
from typing import IO, Any

_LOOP = """
import os, socket, sys, threading
room = {"os": os, "socket": socket, "threading": threading}
for line in sys.stdin:
    try:
        exec(eval(line), room)
        answer = repr(room.pop("result", None))
    except BaseException as error:
        answer = "!" + repr(error)
    print(answer, flush=True)
"""

PYTHON = "/usr/bin/python3"
"""Debian's: it links libssl dynamically."""

COMMAND = (PYTHON, "-u", "-c", _LOOP)


class Puppet:
    """Runs statements one after the other; what they put into ``result`` comes back as text."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.pid = process.pid
        self._input: IO[Any] = process.stdin
        self._output: IO[Any] = process.stdout

    def do(self, code: str) -> str:
        self._input.write(repr(textwrap.dedent(code)).encode() + b"\n")
        self._input.flush()
        answer = str(self._output.readline().decode().rstrip("\n"))
        assert not answer.startswith("!"), answer
        assert answer, "the puppet has died"
        return answer

    def listen(self) -> int:
        """A listening TCP socket of the puppet's, named ``listener``; its port."""
        return int(
            self.do("""
            listener = socket.create_server(("127.0.0.1", 0))
            result = listener.getsockname()[1]
            """)
        )

    def connect(self, port: int, name: str = "s") -> None:
        self.do(f"{name} = socket.create_connection(('127.0.0.1', {port}))")

    def accept(self, name: str = "s") -> None:
        self.do(f"{name}, _ = listener.accept()")

    def drain(self) -> None:
        """Read whatever comes on ``s``, in the background."""
        self.do("""
        def drain():
            while s.recv(65536): pass
        threading.Thread(target=drain).start()
        """)
