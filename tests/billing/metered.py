"""Metered hours as the metering would have written them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from fleet.services import environment_create
from pulse.models import UsageHour
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person

NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)


def environment(person: Person, slug: str = "prod", name: str = "Production") -> UUID:
    return environment_create(actor=person.actor, slug=slug, name=name).id


def meter(
    person: Person, environment_id: UUID, requests: int, hour: datetime = NOON, sent: int = 0
) -> None:
    """One environment's hour, replacing what was there; every request goes outside."""
    write([_row(person, environment_id, requests, hour, sent)])


def write(rows: Iterable[UsageHour]) -> None:
    with unscoped("test usage"):
        for row in rows:
            UsageHour.objects.filter(
                account_id=row.account_id, environment_id=row.environment_id, hour=row.hour
            ).delete()
            row.save(force_insert=True)


def forget(environment_id: UUID) -> None:
    with unscoped("test usage"):
        UsageHour.objects.filter(environment_id=environment_id).delete()


def system(person: Person) -> Actor:
    return Actor.system("test", person.scope)


def _row(
    person: Person, environment_id: UUID, requests: int, hour: datetime, sent: int
) -> UsageHour:
    return UsageHour(
        account_id=person.account.id,
        account_path=person.account.path,
        environment_id=environment_id,
        hour=hour,
        requests=requests,
        requests_ingress=0,
        requests_egress_internal=0,
        requests_egress_external=requests,
        bytes_sent=sent,
        bytes_received=0,
        counted_at=hour,
    )
