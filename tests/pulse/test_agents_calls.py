"""An agent's whole life at the door, with the real fleet behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from fleet.services import (
    environment_create,
    registration_token_create,
    registration_token_revoke,
)
from pulse.ingest.fleet import FleetGateway
from pulse.ingest.settings import IngestSettings
from pulse.spool.folder import SpoolFolder
from qcloud.kernel.ids import new_id
from tests.factories.cast import Person
from tests.pulse.door import Client, Sender, door
from tests.pulse.lines import event, lines
from tests.pulse.test_ingest import stored
from wire.config import config_digest
from wire.protocol import (
    CONFIG_PATH,
    HEARTBEAT_PATH,
    REGISTER_PATH,
    HeartbeatRequest,
    RegisterRequest,
    RegisterResponse,
)

pytestmark = pytest.mark.django_db(transaction=True)
BATCH = lines(event())


@pytest.fixture
def client(spool: SpoolFolder) -> Iterator[Client]:
    with door(IngestSettings(spool=spool.path), FleetGateway()) as opened:
        yield opened


@pytest.fixture
def place(customer_owner: Person) -> UUID:
    return environment_create(actor=customer_owner.actor, name="Production", slug="prod").id


def call(client: Client, path: str, token: str, message: Any = None, **more: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}", **more}
    if message is None:
        return client.request("GET", path, headers=headers)
    return client.request("POST", path, headers=headers, content=msgspec.json.encode(message))


def test_register_send_beat_read_and_be_revoked(
    client: Client, spool: SpoolFolder, customer_owner: Person, place: UUID
) -> None:
    row, token = registration_token_create(
        actor=customer_owner.actor, environment_id=place, name="nodes"
    )
    answer = call(client, REGISTER_PATH, token, RegisterRequest(instance_id=new_id(), name="node"))
    assert answer.status_code == 200
    me = msgspec.json.decode(answer.content, type=RegisterResponse)
    assert me.account == customer_owner.slug
    assert Sender(client, token=me.agent_token).send(BATCH).status_code == 200
    (frame,) = stored(spool)
    assert (frame.header.account_id, frame.header.environment_id, frame.header.agent_id) == (  # type: ignore[union-attr]
        customer_owner.account.id, place, me.agent_id,
    )  # fmt: skip
    beat = call(client, HEARTBEAT_PATH, me.agent_token, HeartbeatRequest(boot_id=new_id()))
    assert beat.json()["configDigest"] == config_digest(me.config)
    read = call(client, CONFIG_PATH, me.agent_token)
    assert read.json() == me.config
    again = call(client, CONFIG_PATH, me.agent_token, **{"If-None-Match": read.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    registration_token_revoke(actor=customer_owner.actor, token_id=row.id)
    for refused in (
        call(client, CONFIG_PATH, me.agent_token),
        call(client, HEARTBEAT_PATH, me.agent_token, HeartbeatRequest(boot_id=new_id())),
        Sender(client, token=me.agent_token).send(BATCH),
        call(client, REGISTER_PATH, token, RegisterRequest(instance_id=new_id())),
    ):
        assert refused.status_code == 401
    assert len(stored(spool)) == 1


def test_a_registration_token_sends_no_events(
    client: Client, spool: SpoolFolder, customer_owner: Person, place: UUID
) -> None:
    _, token = registration_token_create(
        actor=customer_owner.actor, environment_id=place, name="nodes"
    )
    assert Sender(client, token=token).send(BATCH).status_code == 401
    assert stored(spool) == []


def test_a_message_that_is_none_is_refused(
    client: Client, customer_owner: Person, place: UUID
) -> None:
    _, token = registration_token_create(
        actor=customer_owner.actor, environment_id=place, name="nodes"
    )
    bodies: tuple[Any, ...] = ([], {"instanceId": "me"}, "x" * 300_000)
    for body in bodies:
        assert call(client, REGISTER_PATH, token, body).status_code in {400, 413}
