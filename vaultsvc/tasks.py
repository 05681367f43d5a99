"""What the beat and the Keys page start."""

from __future__ import annotations

import structlog
from celery import shared_task
from django.db import transaction

from qcloud.kernel.permissions import Actor
from qcloud.kernel.sealing import SealerUnavailable
from vaultsvc.services import run_carry_on

log = structlog.get_logger("vaultsvc.tasks")


@shared_task(name="vaultsvc.tasks.carry_on")
def carry_on() -> None:
    """Bring a run that was started, or whose process died, to its end. Can run twice and
    beside itself: who finds another at it leaves the work to it.
    """
    try:
        run = run_carry_on(actor=Actor.system("key rotation"))
    except SealerUnavailable as error:
        log.warning("a run waits for the keys", reason=error.message)
        return
    if run:
        log.info("values were sealed anew", resealed=run.resealed, broken=run.broken)


def carry_on_soon() -> None:
    """When the caller's transaction is committed. Without a broker the beat's next round, at
    most five minutes later, takes the run up.
    """
    transaction.on_commit(carry_on.delay, robust=True)
