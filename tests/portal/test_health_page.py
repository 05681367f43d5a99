"""Platform health: what it says of a spool that is not there, full, or well."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.test import Client

from portal.views.platform import LITTLE_ROOM
from pulse.health import pipeline_health
from pulse.store.client import Store
from tests.factories.cast import Person
from tests.portal.conftest import sign_in

pytestmark = pytest.mark.django_db(transaction=True)


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def client(cloud_admin: Person, store: Store) -> Client:  # noqa: ARG001  the page asks it
    return sign_in(cloud_admin)


def page(client: Client) -> str:
    return client.get("/admin/health").content.decode()


def test_a_spool_that_is_not_there_is_no_empty_one(
    client: Client, settings: Any, tmp_path: Path
) -> None:
    settings.SPOOL_PATH = tmp_path / "nowhere"
    assert pipeline_health().spool_free_bytes is None
    said = page(client)
    assert f"there is no folder {tmp_path}/nowhere on this machine" in said
    assert "its folder is not on this machine" in said
    assert "0 B free" not in said
    assert "emptied in time" not in said
    assert "every batch could be read" not in said
    assert '<div class="stat-value">–</div>' in said


def test_a_disk_that_fills_is_told_before_it_is_full(
    client: Client, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SPOOL_PATH = tmp_path
    free = [LITTLE_ROOM]
    # A full disk for a moment: what the system says of one.
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(2**40, 2**40, free[0]))
    well = page(client)
    assert "emptied in time" in well
    assert "1 GiB free on its disk" in well
    free[0] -= 1
    full = page(client)
    assert "nearly full" in full
    assert "emptied in time" not in full
