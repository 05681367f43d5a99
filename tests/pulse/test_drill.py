"""``make drill``, two minutes of it."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

import pytest

from qcloud.platform.environment import Ports
from tests.e2e.drill import Drill
from tests.pulse.processes import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SECONDS = 60.0
"""Of killing; start, catching up and the recount of usage take as long again."""


def test_everything_killed_at_random(tmp_path_factory: pytest.TempPathFactory) -> None:
    seed = int(os.environ.get("DRILL_SEED", secrets.randbelow(1_000_000)))
    # A short path: sockets lie in it.
    folder = Path(tmp_path_factory.mktemp("drill"))
    ports = Ports(web=free_port(), ingest=free_port(), eventstore=free_port())
    found = Drill(folder, ports, seconds=SECONDS, seed=seed).run()
    assert found["ok"], json.dumps(found)
    assert found["events_acknowledged"] == found["events_stored"] == found["usage_requests"]
