"""What a page may weigh on its way to the reader."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from portal.assets import MANIFEST
from tests.factories.cast import Person
from tests.portal.conftest import sign_in
from tests.portal.world import World

KIB = 1024


def _weight(kind: str) -> int:
    names = json.loads(MANIFEST.read_text()).values()
    files = (MANIFEST.parent / name for name in names if name.endswith(kind))
    return sum(len(gzip.compress(Path(file).read_bytes())) for file in files)


def test_scripts_and_styles_stay_within_their_budgets() -> None:
    assert 10 * KIB < _weight(".js") <= 60 * KIB
    assert 2 * KIB < _weight(".css") <= 20 * KIB


def test_pages_and_fragments_stay_within_theirs(
    world: World,  # noqa: ARG001
    customer_owner: Person,
) -> None:
    client = sign_in(customer_owner)
    part = {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "main#main"}
    for path in ("/c/acme/", "/c/acme/live", "/c/acme/requests", "/c/acme/audit"):
        assert len(gzip.compress(client.get(path).content)) <= 40 * KIB, path
        assert len(gzip.compress(client.get(path, headers=part).content)) <= 15 * KIB, path


def test_a_list_asks_the_database_the_same_however_long_it_is(
    world: World,  # noqa: ARG001
    customer_owner: Person,
    django_assert_max_num_queries: object,
) -> None:
    client = sign_in(customer_owner)
    client.get("/c/acme/requests")
    assert callable(django_assert_max_num_queries)
    with django_assert_max_num_queries(60):
        client.get("/c/acme/requests")
