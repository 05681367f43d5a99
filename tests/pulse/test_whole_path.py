"""A batch from HTTP to a count in the engine."""

from __future__ import annotations

import pytest

from pulse.ingest.settings import IngestSettings
from pulse.loader.loader import Loader
from pulse.models import Load, TouchedHour
from pulse.spool.folder import SpoolFolder
from pulse.store.client import Store
from pulse.store.gate import ask_as_system
from qcloud.kernel.scope import unscoped
from tests.pulse.door import Sender, Somebody, Tokens, door
from tests.pulse.lines import NOON, event, lines

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_acknowledged_batch_is_counted_once(spool: SpoolFolder, store: Store) -> None:
    owner = Somebody()
    body = lines(event(path="/one"), event(path="/two", host="api.stripe.com"))
    with door(IngestSettings(spool=spool.path), Tokens(owner=owner)) as client:
        agent = Sender(client)
        answer = agent.send(body)
        assert (answer.status_code, answer.json()) == (200, {"accepted": 2, "sequence": 1})
        assert agent.again(body, 1).status_code == 200
    loader = Loader(spool, store, linger=0)
    loader.recover()
    assert loader.step() == 2
    assert loader.step() is None
    rows = ask_as_system(
        "test",
        "SELECT account_id, environment_id, agent_id, path, vendor, timestamp, direction,"
        " outcome, protocol, replayed FROM requests ORDER BY path",
        {},
        store=store,
    )
    origin = (owner.account_id, owner.environment_id, owner.agent_id)
    rest = (NOON, "egress-external", "complete", "http1", False)
    assert [tuple(row) for row in rows] == [
        (*origin, "/one", "example.com", *rest),
        (*origin, "/two", "Stripe", *rest),
    ]
    assert spool.closed_segments() == []
    with unscoped("test"):
        assert [(x.state, x.rows, x.duplicates) for x in Load.objects.all()] == [("done", 2, 1)]
        assert [x.hour for x in TouchedHour.objects.all()] == [NOON]
