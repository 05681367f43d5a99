from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from fleet.selectors import EnvironmentInfo, registration_by_token
from fleet.services import (
    agent_register,
    environment_create,
    object_store_set,
    registration_token_create,
)
from tests.factories.cast import Person
from wire.protocol import RegisterRequest, RegisterResponse, SystemInfo

Register = Callable[..., RegisterResponse]


@pytest.fixture
def production(customer_owner: Person) -> EnvironmentInfo:
    """Environment ``production`` of customer ``acme``."""
    return environment_create(actor=customer_owner.actor, name="Production", slug="production")


@pytest.fixture
def foreign(other_customer_owner: Person) -> EnvironmentInfo:
    """Environment ``production`` of customer ``birch``."""
    return environment_create(
        actor=other_customer_owner.actor, name="Production", slug="production"
    )


@pytest.fixture
def token(customer_owner: Person, production: EnvironmentInfo) -> str:
    """A registration token of acme's ``production``."""
    return registration_token_create(
        actor=customer_owner.actor, environment_id=production.id, name="nodes"
    )[1]


@pytest.fixture
def store(customer_owner: Person, production: EnvironmentInfo, tmp_path: Path) -> Path:
    """The directory that is acme's object store for ``production``."""
    directory = tmp_path / "objects"
    directory.mkdir()
    object_store_set(actor=customer_owner.actor, environment_id=production.id, path=str(directory))
    return directory


def register(
    token: str, instance_id: UUID | None = None, previous: str | None = None, name: str = "node-1"
) -> RegisterResponse:
    registration = registration_by_token(token)
    assert registration is not None
    return agent_register(
        registration=registration,
        request=RegisterRequest(
            instance_id=instance_id or uuid4(),
            name=name,
            version="1.2.3",
            system=SystemInfo(hostname="host-1", kernel_release="6.18", btf=True),
        ),
        previous_agent_token=previous,
        ip="192.0.2.9",
        request_id="req-agent",
    )
