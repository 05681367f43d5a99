"""Flags and environment of ``qcloud-agent``. A flag wins over its variable."""

from __future__ import annotations

import argparse
import errno
import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from agent.door.server import LISTEN
from agent.link.settings import HTTP_BUFFER_SIZE, IDLE_SECONDS, MEMORY_LIMIT
from agent.logs import ENCODINGS, LEVELS
from agent.spool.spool import SPOOL_LIMIT, SPOOL_SECONDS

DATA_DIR: Final = "/var/lib/qcloud-agent"
TLS_PROBES: Final = frozenset({"openssl"})
"""Families that this agent can look into."""
_SIZE: Final = re.compile(r"(\d+)\s*(b|kb|kib|mb|mib|gb|gib)?\Z", re.IGNORECASE)
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([dhms])\Z", re.IGNORECASE)
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_UNITS: Final = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def parser(environment: Mapping[str, str] = os.environ) -> argparse.ArgumentParser:
    """The whole command line. ``run`` is the default command."""
    top = argparse.ArgumentParser(
        prog="qcloud-agent", description="Captures HTTP on this node and reports it to QCloud."
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    run = commands.add_parser("run", help="capture, or replay, and report (the default)")
    _logs(run, environment)
    _configuration(run, environment)
    _platform(run, environment)
    _capture(run, environment)
    _limits(run, environment)
    _containers(run, environment)
    run.add_argument(
        "--httpd-listen", default=environment.get("HTTPD_LISTEN", ""),
        metavar="HOST:PORT|none", help=f"status server, for Prometheus ({LISTEN})")  # fmt: skip
    run.add_argument("--replay", type=Path, metavar="FILE", help="feed a recording instead")
    run.add_argument("--speed", type=_speed, default=1.0, metavar="N|max",
                     help="how many times faster than recorded")  # fmt: skip
    validate = commands.add_parser("validate", help="say what is wrong with a configuration")
    validate.add_argument("file", metavar="FILE|-")
    validate.add_argument("--strict", action="store_true", help="unknown keys are errors")
    validate.add_argument("--format", choices=("text", "json"), default="text")
    _logs(validate, environment)
    record = commands.add_parser("record", help="write captured traffic into a file")
    record.add_argument("file", type=Path, metavar="FILE")
    record.add_argument("--seconds", type=float, default=math.inf, help="stop after so long")
    _logs(record, environment)
    _capture(record, environment)
    _buffer(record, environment)
    demo = commands.add_parser("demo-recording", help="write a recording of invented traffic")
    demo.add_argument("file", type=Path, metavar="FILE")
    demo.add_argument("--minutes", type=float, default=10.0)
    demo.add_argument("--rate", type=float, default=8.0, help="requests a second, on average")
    demo.add_argument("--seed", type=int, default=1)
    _logs(demo, environment)
    doctor = commands.add_parser(
        "doctor", help="try everything the agent needs, and say what fails"
    )
    doctor.add_argument("--config", default=environment.get("QPOINT_CONFIG", ""),
                        metavar="FILE|URL", help="try its stores as well")  # fmt: skip
    doctor.add_argument("--format", choices=("text", "json"), default="text")
    doctor.add_argument("--no-probes", dest="probes", action="store_false",
                        help="do not load any program into the kernel")  # fmt: skip
    _data_dir(doctor, environment)
    _containers(doctor, environment)
    _logs(doctor, environment)
    return top


def read_secret(environment: Mapping[str, str], name: str) -> str:
    """``NAME``, or the contents of the file that ``NAME_FILE`` names.

    Without the line end that editors and ``echo`` leave: it stands in a header later.
    Raises ``OSError`` when that file cannot be read.
    """
    value = environment.get(name, "").strip()
    file = environment.get(f"{name}_FILE", "")
    try:
        return value or (Path(file).read_text().strip() if file else "")
    except UnicodeDecodeError:
        raise OSError(errno.EINVAL, "it holds no text", file) from None


def size(value: str) -> int:
    """Bytes from ``2mb``, ``512KB``, ``1048576``; units are powers of 1024."""
    match = _SIZE.match(value.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{value!r} is no size; write 2mb, 512kb or bytes")
    return int(match[1]) * _UNITS[(match[2] or "")[:1].lower()]


def duration(value: str) -> float:
    """Seconds from ``7d``, ``12h``, ``30m``, ``90s``."""
    match = _DURATION.match(value.strip())
    if match is None or not float(match[1]) > 0:
        raise argparse.ArgumentTypeError(f"{value!r} is no time; write 7d, 12h, 30m or 90s")
    return float(match[1]) * _SECONDS[match[2].lower()]


def _logs(command: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    command.add_argument(
        "--log-level", type=_among(LEVELS), default=environment.get("LOG_LEVEL") or "info",
        metavar="|".join(LEVELS))  # fmt: skip
    command.add_argument(
        "--log-encoding", type=_among(ENCODINGS), metavar="|".join(ENCODINGS),
        default=environment.get("LOG_ENCODING") or "json")  # fmt: skip


def _among(allowed: tuple[str, ...]) -> Callable[[str], str]:
    """Unlike ``choices`` it also holds for what the environment says."""

    def check(value: str) -> str:
        if value.lower() not in allowed:
            raise argparse.ArgumentTypeError(f"{value!r} is none of {', '.join(allowed)}")
        return value.lower()

    return check


def _configuration(command: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    command.add_argument(
        "--config", default=environment.get("QPOINT_CONFIG", ""), metavar="FILE|URL",
        help="run on this configuration, version: 2, instead of a platform's")  # fmt: skip
    command.add_argument(
        "--tags", default=environment.get("QPOINT_DEPLOYMENT_TAGS", ""), metavar="KEY:VALUE,…",
        help="tags of everything this agent reports")  # fmt: skip


def _platform(command: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    command.add_argument(
        "--registration-endpoint", default=environment.get("REGISTRATION_ENDPOINT", ""),
        metavar="URL", help="the platform, https://…")  # fmt: skip
    command.add_argument(
        "--registration-token", default=None,
        help="the environment's token; better given as REGISTRATION_TOKEN or "
        "REGISTRATION_TOKEN_FILE, which other users of the node cannot see")  # fmt: skip
    command.add_argument(
        "--ca-file", type=Path, default=_path(environment, "REGISTRATION_CA_FILE"),
        help="certificates that vouch for the platform, instead of the system's")  # fmt: skip
    command.add_argument(
        "--allow-insecure-platform", action="store_true",
        help="allow http:// to a platform that is not on this machine")  # fmt: skip
    command.add_argument("--name", default=environment.get("AGENT_NAME", ""),
                         help="how the platform lists this agent (default: host name)")  # fmt: skip
    _data_dir(command, environment)
    command.add_argument("--status-file", type=Path, default=_path(environment, "STATUS_FILE"),
                         help="counters as JSON, written each second")  # fmt: skip


def _capture(command: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    command.add_argument(
        "--netns", default=environment.get("NETNS", "all"), metavar="PATH|INODE|all",
        help="watch one network namespace only")  # fmt: skip
    command.add_argument(
        "--tls-probes", type=_probes, default=environment.get("TLS_PROBES") or "all",
        metavar="NAME[,NAME]|all|none", help="TLS libraries to look into: openssl")  # fmt: skip
    command.add_argument(
        "--exclude-pids", type=_pids, default=frozenset(), metavar="PID[,PID]",
        help="leave these processes and what they start alone")  # fmt: skip
    command.add_argument(
        "--exclude-pid-file", type=Path, action="append", default=[], metavar="FILE",
        help="process ids to leave alone, read again each second; may be repeated")  # fmt: skip


def _data_dir(command: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    command.add_argument(
        "--data-dir", type=Path, default=Path(environment.get("DATA_DIR") or DATA_DIR)
    )


def _containers(command: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    """The names under which others know them."""
    command.add_argument(
        "--docker-socket-endpoint", default=environment.get("DOCKER_SOCKET_ENDPOINT", ""),
        metavar="PATH|none", help="Docker's socket: names and labels of containers")  # fmt: skip
    command.add_argument(
        "--cri-runtime-socket-endpoint", "--containerd-socket-endpoint", metavar="PATH|none",
        default=environment.get("CRI_RUNTIME_SOCKET_ENDPOINT")
        or environment.get("CONTAINERD_SOCKET_ENDPOINT", ""),
        help="the socket of containerd or CRI-O, for names and labels of pods")  # fmt: skip


def _probes(value: str) -> frozenset[str]:
    """``all``, ``none`` or names; those of probes that are not here are kept, and told of."""
    words = frozenset(value.replace(",", " ").lower().split())
    if words == {"all"}:
        return TLS_PROBES
    return words - {"none"}


def _buffer(command: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    command.add_argument(
        "--http-buffer-size", type=size,
        default=environment.get("HTTP_BUFFER_SIZE", str(HTTP_BUFFER_SIZE)),
        help="bytes kept of one body (2mb)")  # fmt: skip


def _limits(command: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    _buffer(command, environment)
    command.add_argument("--spool-limit", type=size,
                         default=environment.get("SPOOL_LIMIT", str(SPOOL_LIMIT)),
                         help="bytes of events kept on disk (512mb)")  # fmt: skip
    command.add_argument("--spool-age", type=duration,
                         default=environment.get("SPOOL_AGE", f"{SPOOL_SECONDS:.0f}s"),
                         metavar="TIME", help="how long events wait there (7d)")  # fmt: skip
    command.add_argument("--memory-limit", type=size,
                         default=environment.get("MEMORY_LIMIT", str(MEMORY_LIMIT)),
                         help="bytes of unfinished exchanges kept in memory (64mb)")  # fmt: skip
    command.add_argument("--idle-timeout", type=float, default=IDLE_SECONDS, metavar="SECONDS",
                         help="give up on a response after so long in silence")  # fmt: skip


def _path(environment: Mapping[str, str], name: str) -> Path | None:
    value = environment.get(name, "")
    return Path(value) if value else None


def _speed(value: str) -> float:
    if value == "max":
        return math.inf
    speed = float(value)
    if not speed > 0:
        raise argparse.ArgumentTypeError("the speed must be above 0, or max")
    return speed


def _pids(value: str) -> frozenset[int]:
    return frozenset(int(word) for word in value.replace(",", " ").split())
