"""What happens without anybody asking: mails about sign-in, ended sessions, forgotten rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from celery import shared_task
from django.db import transaction

from audit.policies import ACCESS_LOG_KEPT
from audit.services import record
from identity import notices
from identity.models import AccessEvent, KnownDevice, NameGuard, PasswordReset
from identity.services.erasure import erasures_drive
from identity.services.packing import takeouts_forget, takeouts_pack
from identity.services.passwords import reset_send
from identity.sessions import sessions_sweep
from qcloud.kernel import outbox
from qcloud.kernel.clock import now
from qcloud.kernel.models import OutboxMessage
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import unscoped
from qcloud.kernel.settings import value

BATCH: Final = 2_000
_DEVICE_KEPT: Final = timedelta(days=400)


@shared_task
def send_notices() -> None:
    """Turn what is in the outbox into mail."""
    while outbox.consume("identity.notices", notices.TOPICS, _send, limit=50):
        pass


def _send(message: OutboxMessage) -> None:
    if message.topic == notices.RESET_ASKED:
        reset_send(message)
    else:
        notices.send(message)


@shared_task
def end_sessions() -> None:
    """Sessions that nobody comes back to end, and the log says so."""
    while sessions_sweep() > 0:
        pass


@shared_task
def forget() -> None:
    """Rows of the access log that are older than the setting, batch by batch."""
    access_forget()
    takeouts_forget()
    moment = now()
    with unscoped("sign-in: what is out of date"):
        PasswordReset.objects.filter(expires_at__lt=moment - timedelta(days=7)).delete()
        KnownDevice.objects.filter(last_seen__lt=moment - _DEVICE_KEPT).delete()
        NameGuard.objects.filter(since__lt=moment - timedelta(days=2)).delete()


def access_forget() -> int:
    """How many rows went. Each batch is a transaction with its entry in the journal."""
    before, total = now() - value(ACCESS_LOG_KEPT), 0
    while True:
        with unscoped("access log: what is older than it is kept"), transaction.atomic():
            old = AccessEvent.objects.filter(at__lt=before).order_by("at")
            ids = list(old.values_list("id", flat=True)[:BATCH])
            if not ids:
                return total
            AccessEvent.objects.filter(id__in=ids).delete()
            record(
                actor=Actor.system("retention"),
                action="identity.access.forget",
                data={"rows": len(ids), "before": before.isoformat()},
            )
        total += len(ids)


@shared_task(name="identity.tasks.drive_erasures")
def drive_erasures() -> int:
    """Bring accounts whose grace period is over nearer to their end; returns how many closed."""
    return erasures_drive(actor=Actor.system("account erasure"))


@shared_task(name="identity.tasks.pack_takeouts")
def pack_takeouts() -> int:
    """Pack the archives that accounts asked for; returns how many are ready now."""
    return takeouts_pack()
