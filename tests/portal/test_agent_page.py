"""An agent's page: what a wrong clock does, and that no clock breaks the page."""

from __future__ import annotations

import pytest
from django.test import Client

from fleet.models import Agent
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person
from tests.portal.conftest import sign_in
from tests.portal.world import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client(customer_owner: Person) -> Client:
    return sign_in(customer_owner)


def off(world: World, milliseconds: float) -> None:
    with unscoped("test"):
        Agent.objects.filter(id=world.agent_id).update(clock_offset_ms=milliseconds)


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (7_300_000, "2 h ahead"), (-5_000, "5 s behind"), (4e10, "462 d ahead"),
        (1e300, "115740 d ahead"), (-1e300, "115740 d behind"),
    ],
)  # fmt: skip
def test_a_wrong_clock_is_said(
    client: Client, world: World, milliseconds: float, words: str
) -> None:
    off(world, milliseconds)
    page = client.get(f"/c/acme/agents/{world.agent_id}").content.decode()
    assert f"It is {words} of the platform's" in page
    assert f"<dd>{words}</dd>" in page
    overview = client.get("/c/acme/").content.decode()
    assert f"1 of 1 agents run under a wrong clock (node-1: {words})." in overview


def test_a_clock_that_is_right_is_not_spoken_of(client: Client, world: World) -> None:
    off(world, -4_999)
    assert "<dt>Clock</dt><dd>right</dd>" in (
        client.get(f"/c/acme/agents/{world.agent_id}").content.decode()
    )
    assert "clock" not in client.get("/c/acme/").content.decode()
