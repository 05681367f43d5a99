"""``qcloud-agent``."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final

from agent.capture.source import Source
from agent.logs import behind_a_queue, configure_logs, get_logger
from agent.options import TLS_PROBES, parser, read_secret

NO_ROOM: Final = 1
"""Worth another start, which whatever supervises the agent gives it."""
USAGE: Final = 2
NO_CAPTURE: Final = 3
FOLDER_TAKEN: Final = 4

_COMMANDS: Final = ("run", "record", "demo-recording", "doctor", "validate", "-h", "--help")
_log = get_logger()


class CannotStartError(Exception):
    """The sentence is for the operator; ``code`` is the exit status."""

    def __init__(self, message: str, code: int = USAGE) -> None:
        super().__init__(message)
        self.code = code


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 done, 1 no room on the disk, 2 usage, 3 no capture, 4 folder taken."""
    _no_free_numbers()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] not in _COMMANDS:
        words.insert(0, "run")
    options = parser().parse_args(words)
    configure_logs(options.log_level, options.log_encoding)
    commands = {"run": _run, "record": _record, "demo-recording": _demo, "doctor": _doctor,
                "validate": _validate}  # fmt: skip
    try:
        return commands[options.command](options)
    except CannotStartError as error:
        _log.error("cannot start", reason=str(error))
        return error.code


def _no_free_numbers() -> None:
    """Started with a closed stream, the next file opened would get its number, and with it
    what is printed. What stands there now can be neither read nor written, and that is counted.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open("/dev/null", os.O_PATH)  # the lowest free number: this one


def _run(options: argparse.Namespace) -> int:
    from agent.assembly import assemble, assembly_errors

    behind_a_queue()
    try:
        with assemble(options, _token(options), lambda limit: _source(options, limit)) as runner:
            _on_signals(runner.stop)
            _on_hangup(runner.reload)
            return runner.run()
    except assembly_errors() as error:
        raise CannotStartError(str(error), _exit_code(error)) from error


def _exit_code(error: Exception) -> int:
    from agent.system import DataFolderError, NoRoomError

    if isinstance(error, NoRoomError):
        return NO_ROOM
    return FOLDER_TAKEN if isinstance(error, DataFolderError) else USAGE


def _token(options: argparse.Namespace) -> str:
    if options.registration_token is not None:
        return str(options.registration_token)
    try:
        return read_secret(os.environ, "REGISTRATION_TOKEN")
    except OSError as error:
        raise CannotStartError(f"REGISTRATION_TOKEN_FILE cannot be read: {error}") from error


def _source(options: argparse.Namespace, call_limit: int) -> Source:
    """The recording that was asked for, or the kernel."""
    if getattr(options, "replay", None) is not None:
        from agent.recording.source import RecordingSource

        return RecordingSource(options.replay, speed=options.speed)
    return _kernel(options, call_limit)


def _kernel(options: argparse.Namespace, call_limit: int) -> Source:
    """Late imports: a machine without libbpf can still replay."""
    from agent.capture.errors import CaptureUnavailable
    from agent.capture.kernel import KernelSource
    from agent.capture.settings import CaptureSettings
    from agent.link.scope import Scope, namespace_inode

    files = tuple(options.exclude_pid_file)
    unknown = options.tls_probes - TLS_PROBES
    if unknown:
        _log.warning("there are no such TLS probes here", names=sorted(unknown))
    settings = CaptureSettings(
        netns=namespace_inode(options.netns),
        call_limit=call_limit,
        tls_probes=options.tls_probes & TLS_PROBES,
        excluded_pids=Scope(excluded=options.exclude_pids, files=files).excluded,
    )
    try:
        return KernelSource.open(settings)
    except CaptureUnavailable as error:
        for finding in error.findings:
            _log.error("capture cannot start", what=finding.what, why=finding.why,
                       todo=finding.todo)  # fmt: skip
        raise CannotStartError(
            "this machine does not let the agent capture; `qcloud-agent doctor` tells more, and "
            "`qcloud-agent run --replay FILE` feeds a recording instead",
            NO_CAPTURE,
        ) from error


def _record(options: argparse.Namespace) -> int:
    from agent.config.policy import WITH_BODIES
    from agent.link.scope import Scope, ScopeError, namespace_inode
    from agent.recording.recorder import Recorder

    try:
        netns = namespace_inode(options.netns)
    except ScopeError as error:
        raise CannotStartError(str(error)) from error
    scope = Scope(netns=netns, excluded=options.exclude_pids, files=tuple(options.exclude_pid_file))
    source = _kernel(options, min(options.http_buffer_size, WITH_BODIES))
    stopping: list[bool] = []
    _on_signals(lambda: stopping.append(True))
    deadline = time.monotonic() + options.seconds
    try:
        with Recorder(
            options.file, source, hostname=socket.gethostname(), wanted=scope
        ) as recorder:
            while not stopping and time.monotonic() < deadline:
                for chunk in source.poll(100):
                    recorder.add(chunk)
    except OSError as error:
        raise CannotStartError(f"{options.file} cannot be written: {error.strerror}") from error
    finally:
        source.close()
    _log.info("recorded", file=str(options.file), chunks=recorder.chunks, lost=source.lost())
    return 0


def _demo(options: argparse.Namespace) -> int:
    from agent.recording.demo import write_demo

    try:
        requests = write_demo(
            options.file, minutes=options.minutes, rate=options.rate, seed=options.seed
        )
    except OSError as error:
        raise CannotStartError(f"{options.file} cannot be written: {error.strerror}") from error
    _log.info("demo recording written", file=str(options.file), requests=requests)
    return 0


def _validate(options: argparse.Namespace) -> int:
    from agent.config.validate import validate

    return validate(options.file, strict=options.strict, form=options.format)


def _doctor(options: argparse.Namespace) -> int:
    from agent.doctor import doctor

    return doctor(options)


def _on_signals(stop: Callable[[], object]) -> None:
    """First SIGTERM or SIGINT: drain. Second: leave now; what is spooled stays on disk."""
    asked: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        if asked:
            os._exit(128 + number)
        asked.append(number)
        stop()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def _on_hangup(reload: Callable[[], object]) -> None:
    """SIGHUP: read the configuration again."""

    def handle(number: int, frame: FrameType | None) -> None:
        del number, frame
        reload()

    signal.signal(signal.SIGHUP, handle)


if __name__ == "__main__":
    sys.exit(main())
