"""The ``qcloud`` command: processes, set-up and the operator's tools.

Each sub-command is a function here or a call into the room that owns the work. Imports
are late on purpose: ``qcloud eventstore`` must not pay for Django, nor ``qcloud up`` for
the event store's engine.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

from qcloud import account, spool, vault
from qcloud.kernel.env import Env, SettingError
from qcloud.platform.folder import DataFolder, FolderError
from qcloud.platform.process import StartError

_PROCESSES: Final = {
    **{name: name for name in ("web", "ingest", "loader", "eventstore", "worker", "beat")},
    "migrate": "migrator",
}
"""What a command is called among the processes, where that is not ``operator``."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 refused or failed with a message, 2 wrong arguments."""
    parsed = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = parsed.command
    os.environ.setdefault("QCLOUD_PROCESS", parsed.process)
    try:
        return command(parsed)
    except (FolderError, StartError, SettingError) as error:
        sys.stderr.write(f"qcloud: {error}\n")
        return 1


def django_command(argv: list[str]) -> None:
    """``manage.py``."""
    from qcloud.platform.environment import adopt

    adopt(DataFolder.from_environment())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "qcloud.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(argv)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="qcloud", description="The QCloud platform.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, command: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command, process=_PROCESSES.get(name, "operator"))
        return sub

    up = add("up", _up, "start the whole platform on this machine and watch it")
    up.add_argument("--no-agent", action="store_true", help="do not capture on this host")
    add("web", _web, "the portal's process")
    add("ingest", _ingest, "the agents' door")
    add("loader", _loader, "moves the ingest spool into the event store")
    add("eventstore", _eventstore, "the embedded event store")
    add("worker", _worker, "background tasks")
    add("beat", _beat, "starts periodic tasks; one leader among several")
    add("migrate", _migrate, "bring database and event store to this version's schema")
    add("demo", _demo, "make the demo accounts; what is generated is kept in the data folder")
    add("bill", _bill, "compute the drafts of the current month now, for every seller")
    vault.add_commands(add("vault", _vault, "the keys: status, rotation, shredding"))
    account.add_commands(add("account", _account, "the way back into an account nobody can enter"))
    spool.add_commands(add("spool", _spool, "batches that the event store refuses"))
    add("clean-data", _clean_data, "forget all data of the platform in the data folder")
    replay = add("replay", _replay, "feed recorded traffic through an agent of the demo customer")
    replay.add_argument("file", nargs="?", metavar="FILE", help="made by: qcloud-agent record FILE")
    replay.add_argument("--demo", action="store_true", help="generated traffic instead of a file")
    replay.add_argument("--speed", default="max", help="1: as recorded; max (default): at once")
    return parser


def _up(parsed: argparse.Namespace) -> int:
    from qcloud.platform.environment import Ports
    from qcloud.platform.supervisor import Supervisor

    supervisor = Supervisor(
        DataFolder.from_environment(), Ports.from_environment(Env()), with_agent=not parsed.no_agent
    )
    supervisor.run()
    return 0


def _exec(*command: str) -> int:
    """Become the program: no parent in between that would have to pass signals on."""
    os.execv(sys.executable, [sys.executable, "-m", *command])  # noqa: S606  no shell is wanted


def _web(_parsed: argparse.Namespace) -> int:
    port = str(Env().integer("QCLOUD_WEB_PORT", 8600, low=1, high=65_535))
    return _exec(
        "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", port, "--workers", "1",
        "--blocking-threads", "8", "--no-ws", "--log-level", "warning", "--workers-kill-timeout",
        "10", "qcloud.wsgi:application",
    )  # fmt: skip


def _ingest(_parsed: argparse.Namespace) -> int:
    port = str(Env().integer("QCLOUD_INGEST_PORT", 8601, low=1, high=65_535))
    return _exec(
        "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", port, "--workers", "1",
        "--no-ws", "--log-level", "warning", "--workers-kill-timeout", "10", "--factory",
        "pulse.ingest.app:create_app",
    )  # fmt: skip


def _worker(_parsed: argparse.Namespace) -> int:
    return _exec(
        "celery", "-A", "qcloud.celery", "worker", "--pool", "threads", "--concurrency", "4",
        "--without-gossip", "--without-mingle", "--loglevel", "INFO",
    )  # fmt: skip


def _beat(_parsed: argparse.Namespace) -> int:
    return _exec("celery", "-A", "qcloud.celery", "beat", "--loglevel", "INFO")


def _loader(_parsed: argparse.Namespace) -> int:
    _setup_django()
    from pulse.loader.main import main as loader

    return loader()


def _eventstore(_parsed: argparse.Namespace) -> int:
    from pulse.eventstore.main import main as eventstore

    return eventstore()


def _migrate(_parsed: argparse.Namespace) -> int:
    _setup_django()
    from django.core.management import call_command

    from pulse.store import migrate

    call_command("migrate", verbosity=1)
    migrate.main()
    return 0


def _demo(_parsed: argparse.Namespace) -> int:
    _setup_django()
    from qcloud import demo

    return demo.main()


def _bill(_parsed: argparse.Namespace) -> int:
    _setup_django()
    from qcloud import bill

    return bill.main()


def _vault(parsed: argparse.Namespace) -> int:
    if getattr(parsed, "settings_needed", True):
        _setup_django()
    return vault.main(parsed)


def _account(parsed: argparse.Namespace) -> int:
    _setup_django()
    return account.main(parsed)


def _spool(parsed: argparse.Namespace) -> int:
    _setup_django()
    return spool.main(parsed)


def _clean_data(_parsed: argparse.Namespace) -> int:
    folder = DataFolder.from_environment()
    removed = folder.forget()
    sys.stdout.write(f"{'removed' if removed else 'nothing to remove at'} {folder.root}\n")
    return 0


def _replay(parsed: argparse.Namespace) -> int:
    from qcloud.platform import replay

    return replay.main(parsed.file, demo=parsed.demo, speed=parsed.speed)


def _setup_django() -> None:
    from qcloud.platform.environment import adopt

    adopt(DataFolder.from_environment())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "qcloud.settings")
    import django

    django.setup()
