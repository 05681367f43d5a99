"""Browsers of the cast, an event store with traffic, and a customer that has it all."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from identity.sessions import SessionStore, Stage
from portal.assets import MANIFEST
from portal.sessions import PORTALS, cookie_name
from pulse.store import client as store_client
from pulse.store.client import Store
from pulse.store.migrate import migrate
from qcloud.kernel.clock import now
from tests.factories.cast import Person
from tests.portal.world import World, build
from tests.pulse.processes import EventStoreProcess
from tests.real import require_real

SignedIn = Callable[[Person], Client]


def session_key(person: Person, portal: str, **columns: Any) -> str:
    """The cookie of a session of that portal, as after a sign-in with both factors."""
    store = SessionStore(portal=portal)
    wanted = {"stage": Stage.FULL, "factor": "totp", "proved_at": now(), **columns}
    store.begin(person.user, portal=portal, **wanted)
    assert store.session_key
    return str(store.session_key)


def sign_in(person: Person, **columns: Any) -> Client:
    """Signed in to all three portals at once, as a person with several accounts may be."""
    client = Client()
    for prefix in PORTALS:
        client.cookies[cookie_name(prefix)] = session_key(person, prefix, **columns)
    return client


@pytest.fixture(autouse=True, scope="session")
def _front_end() -> None:
    require_real("the front end", MANIFEST.exists(), "run make install, which builds it")


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventStoreProcess]:
    process = EventStoreProcess(tmp_path_factory.mktemp("eventstore") / "data")
    process.start()
    yield process
    process.stop()


@pytest.fixture
def store(engine: EventStoreProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The event store that the pages ask, with a database of this test's own."""
    chosen = Store(engine.settings(database=f"test_{secrets.token_hex(6)}"))
    migrate(chosen)
    monkeypatch.setattr(store_client, "_default", chosen)
    yield chosen
    chosen.client().command(f"DROP DATABASE `{chosen.settings.database}`")
    chosen.client().close()


@pytest.fixture
def world(
    transactional_db: None,  # noqa: ARG001  billing's runs need real transactions
    customer_owner: Person,
    reseller_owner: Person,
    cloud_admin: Person,
    store: Store,
    tmp_path: Path,
) -> World:
    return build(customer_owner, reseller_owner, cloud_admin, store, tmp_path)
