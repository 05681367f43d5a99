"""Sealed values of real rows: registration tokens of a customer's environment."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from audit.models import Entry
from fleet.models import RegistrationToken
from fleet.selectors import EnvironmentInfo
from fleet.services import environment_create
from qcloud.kernel.ids import new_id
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import scoped, unscoped
from tests.factories.cast import Person
from vaultsvc import walk
from vaultsvc.envelope import KEY_ID
from vaultsvc.models import DataKey, State

SYSTEM = Actor.system("test")


def environment_of(person: Person, slug: str = "production") -> EnvironmentInfo:
    return environment_create(actor=person.actor, name=slug.title(), slug=slug)


def fill(person: Person, environment: EnvironmentInfo, count: int) -> list[UUID]:
    """``count`` tokens whose text is their id."""
    ids = [new_id() for _ in range(count)]
    with scoped(person.scope):
        RegistrationToken.objects.bulk_create(
            RegistrationToken(
                id=row_id,
                account_id=person.account.id,
                environment_id=environment.id,
                name="node",
                token_hash=row_id.hex,
                token=str(row_id),
                last_four="0000",
                created_by="test",
            )
            for row_id in ids
        )
    return ids


def revealed(person: Person) -> dict[UUID, str]:
    with scoped(person.scope):
        return {row.id: row.token.reveal() for row in RegistrationToken.objects.all()}


def keys_in_use(account_id: UUID) -> set[UUID]:
    """Data keys that the account's tokens are sealed under."""
    with unscoped("test"):
        raw = RegistrationToken.objects.filter(account_id=account_id).values_list(
            "token", flat=True
        )
        return {UUID(bytes=bytes(value)[KEY_ID]) for value in raw}


def active_key(account_id: UUID) -> DataKey:
    with unscoped("test"):
        row: DataKey = DataKey.objects.get(owner=account_id, purpose="seal", state=State.ACTIVE)
    return row


def entries(action: str) -> list[Any]:
    with unscoped("test"):
        return list(Entry.objects.filter(action=action).order_by("id"))


def sealed(owner: UUID | None = None) -> int:
    """Sealed values there are: the tokens of the tests, and what the cast brought along."""
    with unscoped("test"):
        return walk.count(owner)


def owners() -> int:
    """Owners with a key."""
    with unscoped("test"):
        return int(DataKey.objects.filter(purpose="seal", state=State.ACTIVE).count())
