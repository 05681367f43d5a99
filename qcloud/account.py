"""``qcloud account …``: what an operator on the server can do for an account nobody gets into."""

from __future__ import annotations

import argparse
import getpass
import sys
from typing import Final

from qcloud.kernel.errors import NotFound, QCloudError
from qcloud.kernel.permissions import Actor

LABEL: Final = "qcloud account"


def add_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    text = "show from which networks an account is entered, or clear the list"
    shown = commands.add_parser("allow-list", help=text, description=text)
    shown.add_argument("account", metavar="ACCOUNT", help="its short name")
    shown.add_argument("--clear", action="store_true", help="it is entered from everywhere again")


def main(parsed: argparse.Namespace) -> int:
    """1 with a message when it was refused."""
    try:
        return allow_list(parsed.account, clear=parsed.clear)
    except QCloudError as error:
        sys.stderr.write(f"{LABEL}: {error.message}\n")
        return 1


def allow_list(slug: str, *, clear: bool) -> int:
    from identity.selectors import account_by_slug
    from identity.services import allow_list_set

    account = account_by_slug(slug)
    if account is None:
        raise NotFound(f"There is no account with the short name {slug!r}.")
    if not clear:
        sys.stdout.write(f"{account.allow_list or 'entered from everywhere'}\n")
        return 0
    actor = Actor.system(f"{LABEL} ({getpass.getuser()})", account.scope)
    allow_list_set(actor=actor, account_id=account.id, networks="")
    sys.stdout.write(f"{account.name} is entered from everywhere. It was:\n")
    sys.stdout.write(f"{account.allow_list or 'entered from everywhere'}\n")
    return 0
