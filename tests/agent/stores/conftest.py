"""A real S3 server, and somebody between it and the store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.counters import Counters
from tests.agent.stores.between import Between, between
from tests.agent.stores.gateway import Gateway, gateway


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture
def middle(server: Gateway) -> Iterator[Between]:
    with between(server.endpoint) as running:
        yield running


@pytest.fixture
def counters() -> Counters:
    return Counters()
