"""``qcloud spool …``: batches that the event store refuses, and what becomes of them."""

from __future__ import annotations

import argparse
import getpass
import sys
from typing import Final
from uuid import UUID

from qcloud.kernel.errors import QCloudError
from qcloud.kernel.permissions import Actor

LABEL: Final = "qcloud spool"


def add_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    text = "show the batches that are set aside"
    commands.add_parser("list", help=text, description=text).set_defaults(decision="")
    for decision, text in (
        ("retry", "have a batch tried again, after an upgrade for example"),
        ("drop", "give a batch up; its events are gone for good and never counted"),
    ):
        chosen = commands.add_parser(decision, help=text, description=text)
        chosen.add_argument("batches", nargs="+", metavar="ID", type=UUID)
        chosen.set_defaults(decision=decision)


def main(parsed: argparse.Namespace) -> int:
    """1 with a message when it was refused."""
    from pulse.asides import batch_aside_drop, batch_aside_retry

    actor = Actor.system(f"{LABEL} ({getpass.getuser()})")
    try:
        if not parsed.decision:
            return _list(actor)
        decide = {"retry": batch_aside_retry, "drop": batch_aside_drop}[parsed.decision]
        for batch_id in parsed.batches:
            decide(actor=actor, batch_id=batch_id)
    except QCloudError as error:
        sys.stderr.write(f"{LABEL}: {error.message}\n")
        return 1
    return 0


def _list(actor: Actor) -> int:
    from pulse.asides import batches_aside

    found = batches_aside(actor=actor)
    for batch in found:
        sys.stdout.write(
            f"{batch.id}  {batch.created_at:%Y-%m-%d %H:%M} UTC  {batch.state}  account"
            f" {batch.account_id}  agent {batch.agent_id}  {batch.rows} {batch.kind}:"
            f" {batch.reason}\n"
        )
    if not found:
        sys.stdout.write("no batch is set aside\n")
    return 0
