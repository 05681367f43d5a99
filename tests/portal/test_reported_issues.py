"""From a rule in an agent's configuration to the issue's page: the programs themselves."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.cache import cache
from django.urls import reverse

from agent.recording.demo import write_demo
from audit.selectors import EntryFilter, entries
from fleet.services import environment_create, object_store_set, registration_token_create
from pulse.analytics import TrafficFilter, search_requests
from pulse.ingest.fleet import FleetGateway
from pulse.ingest.settings import IngestSettings
from pulse.issues.scan import scan
from pulse.issues.selectors import IssueFilter, IssueInfo, activity, issues, reports
from pulse.issues.services import issue_resolve
from pulse.loader.loader import Loader
from pulse.spool.folder import SpoolFolder
from pulse.store.client import Store
from qcloud.kernel.clock import now
from tests.factories.cast import Person
from tests.portal.conftest import sign_in
from tests.pulse.door import door
from tests.pulse.listening import listening

pytestmark = pytest.mark.django_db(transaction=True)

_CONFIG = """
version: 2
services:
  event_stores: [{id: platform, type: pulse, url: "URL", token: {type: text, value: "TOKEN"}}]
  object_stores: [{id: here, type: directory, path: "OBJECTS"}]
stacks:
  all:
    plugins:
      - type: http_capture
        config: {level: full}
      - type: detect_errors
        config:
          rules:
            - {name: Server errors, trigger_status_codes: [5xx], report_as_issue: true,
               record_res_body: true}
tap: {http: {stack: all}}
"""


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def run_agent(folder: Path, url: str, token: str, seed: int) -> None:
    """One run of the agent's program over a recording of one minute."""
    recording = folder / f"demo-{seed}.jsonl"
    write_demo(recording, minutes=1, seed=seed)
    config = folder / "agent.yml"
    text = _CONFIG.replace("URL", url).replace("TOKEN", token)
    config.write_text(text.replace("OBJECTS", str(folder / "objects")))
    done = subprocess.run(
        [sys.executable, "-m", "agent.cli", "run", "--data-dir", str(folder / "data"),
         "--config", str(config), "--replay", str(recording), "--speed", "max"],
        env=dict(os.environ), capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def load_all(spool: SpoolFolder, store: Store) -> None:
    loader = Loader(spool, store, linger=0)
    loader.recover()
    deadline = time.monotonic() + 20
    while loader.step() is not None or spool.open_segments():
        assert time.monotonic() < deadline, "the open segment was never handed over"
        time.sleep(0.1)


def listed(person: Person) -> list[IssueInfo]:
    return issues(person.scope, IssueFilter(kind="reported"), limit=500)[0]


def test_a_rule_of_an_agent_becomes_an_issue_that_opens_its_requests(
    customer_owner: Person,
    other_customer_owner: Person,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    actor, scope = customer_owner.actor, customer_owner.scope
    place = environment_create(actor=actor, name="Production", slug="prod")
    (tmp_path / "objects").mkdir()
    object_store_set(actor=actor, environment_id=place.id, path=str(tmp_path / "objects"))
    _, secret = registration_token_create(actor=actor, environment_id=place.id, name="rack 4")
    spool = SpoolFolder(tmp_path / "spool")
    with door(IngestSettings(spool=spool.path), FleetGateway()) as client, listening(client) as url:
        run_agent(tmp_path, url, secret, seed=7)
        load_all(spool, store)
        failed = search_requests(
            scope, TrafficFilter(now() - timedelta(hours=1), now(), status_class="5xx"), limit=500
        ).rows
        assert scan(scope, now()) >= 1
        found = listed(customer_owner)
        assert failed
        assert {i.rule for i in found} == {"Server errors"}
        assert sum(i.count for i in found) == len(failed)
        assert {(i.host, i.environment_id) for i in found} == {(r.host, place.id) for r in failed}
        assert listed(other_customer_owner) == []
        scan(scope, now())
        assert [(i.id, i.count) for i in listed(customer_owner)] == [(i.id, i.count) for i in found]
        first = found[0]
        # The recording's times are of the minute before each run: resolved right behind the last.
        mended = first.last_seen + timedelta(milliseconds=1)
        monkeypatch.setattr("pulse.issues.services.now", lambda: mended)
        issue_resolve(actor=actor, issue_id=first.id)
        scan(scope, now())
        assert {i.id: i.state for i in listed(customer_owner)}[first.id] == "resolved"
        run_agent(tmp_path, url, secret, seed=7)
        load_all(spool, store)
        scan(scope, now())
        back = next(i for i in listed(customer_owner) if i.id == first.id)
        assert (back.state, back.regressions, back.count) == ("open", 1, 2 * first.count)
        assert [a.what for a in activity(scope, first.id)][:2] == ["regressed", "resolved"]
    _look_at_it(customer_owner, back)


def _look_at_it(person: Person, found: IssueInfo) -> None:
    browser = sign_in(person)
    page = browser.get(reverse("c:issue", args=("acme", found.id))).content.decode()
    assert "Server errors" in page
    assert "the status is 50" in page
    sample = reports(person.scope, found)[0].request_id
    link = reverse("c:request", args=("acme", sample))
    assert link in page
    shown = browser.get(link).content.decode()
    assert "Response body" in shown
    assert "the status is 50" in shown
    before = _opened(person)
    part = shown.partition("?part=")[2][:40]
    opened = browser.get(link, {"part": part, "view": "raw"}).content.decode()
    assert 'id="part"' in opened
    assert "Bytes" not in opened
    # The part, and the whole exchange below it.
    assert _opened(person) == before + 2
    stranger = browser.get(link, {"part": "0" * 40}).content.decode()
    assert 'id="part"' not in stranger


def _opened(person: Person) -> int:
    chosen = EntryFilter(action="fleet.object.read")
    return len(entries(person.scope, chosen, limit=100).entries)
