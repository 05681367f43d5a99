"""``qcloud vault …``: how the keys are, rotation, sealing anew, shredding."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from uuid import UUID

from qcloud.kernel.errors import NotFound, QCloudError
from qcloud.kernel.permissions import Actor
from vaultsvc.vault.arguments import add_arguments as add_bootstrap_arguments

if TYPE_CHECKING:
    from identity.selectors import AccountInfo

Command = Callable[[argparse.Namespace], int]
LABEL: Final = "qcloud vault"


def add_commands(parser: argparse.ArgumentParser) -> None:
    """The sub-commands of ``qcloud vault``; each sets ``vault_command``."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(vault_command=command)
        return sub

    # Before there is a Vault to read settings from, there are none: it works without Django.
    made = add("bootstrap", bootstrap, "set Vault up for QCloud, with an operator's token")
    made.set_defaults(settings_needed=False)
    add_bootstrap_arguments(made)
    add("status", status, "who keeps the keys, how they are, and what is due")
    rotated = add("rotate", rotate, "give every account new keys and seal its values under them")
    rotated.add_argument("account", nargs="?", metavar="ACCOUNT", help="this one alone")
    rewrapped = add("rewrap", rewrap, "seal under today's keys what older ones sealed; resumes")
    rewrapped.add_argument("account", nargs="?", metavar="ACCOUNT", help="this one alone")
    signing = add("rotate-signing", rotate_signing, "sign with a new key from now on")
    signing.add_argument("purpose", metavar="PURPOSE", help="audit, token …")
    shredded = add("shred", shred, "destroy an account's keys: nothing of it can be read again")
    shredded.add_argument("account", metavar="ACCOUNT", help="its short name")
    shredded.add_argument(
        "--confirm", metavar="ACCOUNT", help="the short name once more; asked for without it"
    )


def main(parsed: argparse.Namespace) -> int:
    """1 with a message when it was refused or the keys cannot be reached."""
    command: Command = parsed.vault_command
    try:
        return command(parsed)
    except QCloudError as error:
        sys.stderr.write(f"qcloud vault: {error.message}\n")
        return 1


def bootstrap(parsed: argparse.Namespace) -> int:
    from vaultsvc.vault import command

    return command.main(parsed)


def status(_parsed: argparse.Namespace) -> int:
    """0 when keys can be used, else 1."""
    from vaultsvc import selectors

    keys = selectors.key_status()
    found = keys.status
    owners, gone = selectors.owners(), selectors.shredded()
    state = "sealed" if found.sealed else "usable" if found.reachable else "not reachable"
    _say(f"{keys.backend}: {state}, version {found.version or 'unknown'}; {found.detail}")
    if found.token_expires_at:
        _say(f"token: until {found.token_expires_at:%Y-%m-%d %H:%M} UTC")
    due = sum(owner.due for owner in owners)
    _say(
        f"keys: {len(owners)} owners, {due} due (every {keys.rotation_days} days),"
        f" {len(gone)} shredded"
    )
    if keys.going:
        _say(f"run: {keys.going.done} of {keys.going.total} since {keys.going.started_at:%H:%M}")
    return 0 if found.reachable and not found.sealed else 1


def rotate(parsed: argparse.Namespace) -> int:
    from vaultsvc.services import key_rotate_start

    key_rotate_start(actor=_actor(), owner=_owner(parsed.account))
    return _carry_on()


def rewrap(parsed: argparse.Namespace) -> int:
    """A run that was begun and not finished is taken up first."""
    from vaultsvc.services import key_rewrap_start

    if _carry_on(quiet=True):
        return 1
    key_rewrap_start(actor=_actor(), owner=_owner(parsed.account))
    return _carry_on()


def rotate_signing(parsed: argparse.Namespace) -> int:
    from vaultsvc.services import signing_key_rotate

    _say(f"{parsed.purpose}: {signing_key_rotate(actor=_actor(), purpose=parsed.purpose)}")
    return 0


def shred(parsed: argparse.Namespace) -> int:
    from vaultsvc.services import account_shred

    account = _account(parsed.account)
    typed = parsed.confirm
    if typed is None:
        _say(
            f"This destroys the keys of {account.name} for good: its credentials, tokens and"
            " secrets cannot be read again, from backups neither. Invoices stay."
        )
        typed = input(f"Type {account.slug} to go on: ")
    account_shred(actor=_actor(), scope=account.scope, slug=account.slug, confirmation=typed)
    from django.conf import settings

    _say(
        f"{account.slug}: its keys are destroyed. Running processes forget them within"
        f" {settings.KEY_CACHE_SECONDS} seconds."
    )
    return 0


def _carry_on(*, quiet: bool = False) -> int:
    from vaultsvc.selectors import RunInfo, key_status
    from vaultsvc.services import run_carry_on

    def progress(run: RunInfo) -> None:
        _say(f"{run.done} of {run.total} ({run.percent} %)")

    run = run_carry_on(actor=_actor(), progress=progress)
    if run is None:
        going = key_status().going
        if going:
            _say(f"another process is at it: {going.done} of {going.total}")
        return 1 if going else 0
    if not quiet or run.done:
        _say(
            f"done: {run.rotated} owners rotated, {run.resealed} values sealed anew,"
            f" {run.broken} broken"
        )
    return 1 if run.broken else 0


def _actor() -> Actor:
    return Actor.system(LABEL)


def _owner(slug: str | None) -> UUID | None:
    return _account(slug).id if slug else None


def _account(slug: str) -> AccountInfo:
    from identity.selectors import account_by_slug

    found = account_by_slug(slug)
    if found is None:
        raise NotFound(f"There is no account with the short name {slug}.")
    return found


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
