"""The door as its server loads it, with one known token instead of a fleet."""

from __future__ import annotations

import os
from uuid import UUID

from starlette.applications import Starlette

from pulse.ingest.app import create_app as create_door
from tests.pulse.door import Somebody, Tokens

AGENT = Somebody(agent_id=UUID(int=1), account_id=UUID(int=2), environment_id=UUID(int=3))
FLOOD = Somebody(agent_id=UUID(int=4), account_id=UUID(int=5), environment_id=UUID(int=6))


def create_app() -> Starlette:
    assert os.environ["QCLOUD_SPOOL_PATH"]
    return create_door(gateway=Tokens(owner=AGENT, flood=FLOOD))
