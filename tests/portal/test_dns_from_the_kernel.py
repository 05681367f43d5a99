"""Real lookups, seen by the kernel, told by the agent, on the page of names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from fleet.services import environment_create, registration_token_create
from pulse.ingest.fleet import FleetGateway
from pulse.ingest.settings import IngestSettings
from pulse.spool.folder import SpoolFolder
from pulse.store.client import Store
from tests.agent.capture.puppet import PYTHON
from tests.agent.test_dns_end_to_end import Node, node  # noqa: F401  a fixture
from tests.factories.cast import Person
from tests.portal.conftest import sign_in
from tests.portal.test_reported_issues import load_all
from tests.pulse.door import door
from tests.pulse.listening import listening

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.real]

_CONFIG = """version: 2
services:
  event_stores: [{id: platform, type: pulse, url: "URL", token: {type: text, value: "TOKEN"}}]
tap: {audit_include_dns: true}
"""


def names(person: Person, slug: str, **asked: str) -> list[dict[str, Any]]:
    """The rows of the page, as it exports them."""
    page = reverse("c:dns", args=(slug,))
    exported = sign_in(person).get(page, {"export": "json", **asked})
    found: list[dict[str, Any]] = json.loads(b"".join(exported))
    return found


def test_what_processes_ask_for_is_on_the_page(
    node: Node,  # noqa: F811
    customer_owner: Person,
    other_customer_owner: Person,
    store: Store,
    tmp_path: Path,
) -> None:
    actor = customer_owner.actor
    place = environment_create(actor=actor, name="Production", slug="prod")
    _, secret = registration_token_create(actor=actor, environment_id=place.id, name="rack 4")
    spool = SpoolFolder(tmp_path / "spool")
    with door(IngestSettings(spool=spool.path), FleetGateway()) as client, listening(client) as url:
        node.watch(_CONFIG.replace("URL", url).replace("TOKEN", secret))
        for _ in range(2):
            node.ask("sendto_recvfrom", "shop.example")
        node.ask("six", "shop.example")
        node.ask("sendto_recvfrom", "gone.example")
        node.until(lambda: node.state()["events_acknowledged"] >= 8)
        told = node.stop()
        load_all(spool, store)
    assert told["dropped"] == {}
    exe = os.path.realpath(PYTHON)
    found = {
        row["name"]: (row["lookups"], row["failed"], row["rcodes"], row["types"], row["process"])
        for row in names(customer_owner, "acme", **{"f.direction": "egress-internal"})
    }
    assert found == {
        "shop.example": (3, 0, "NOERROR", "A, AAAA", exe),
        "gone.example": (1, 1, "NXDOMAIN", "A", exe),
    }
    # The server, which is in the same namespace, was asked as often.
    served = names(customer_owner, "acme", **{"f.direction": "ingress"})
    assert {row["name"]: row["lookups"] for row in served} == {
        "shop.example": 3, "gone.example": 1,
    }  # fmt: skip
    (shop,) = (row for row in served if row["name"] == "shop.example")
    assert shop["environments"] == "Production"
    assert "10.1.2.3" in shop["addresses"] or "2001:db8::1" in shop["addresses"]
    assert names(other_customer_owner, "birch") == []
