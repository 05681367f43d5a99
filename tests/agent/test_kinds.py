"""Other kinds of events on their way to the platform, and to one that does not know them."""

from __future__ import annotations

from pathlib import Path

import pytest
from uuid_utils.compat import uuid7

from agent.counters import Counters
from agent.spool.batch import decompress
from agent.spool.spool import Spool
from agent.spool.writer import SpoolWriter
from tests.agent.config.inside import Inside, answer, ask
from tests.agent.platform_server import Platform
from tests.agent.test_uplink import Node
from wire.events import ArtifactEvent, IssueEvent, RequestEvent, encode_line

_RULES = """
services:
  object_stores: [{id: here, type: directory, path: "{folder}/objects"}]
stacks:
  all:
    plugins:
      - type: http_capture
        config: {level: full}
      - type: detect_errors
        config:
          rules:
            - {name: Broken, trigger_status_codes: [5xx], report_as_issue: true,
               record_res_body: true}
      - type: qscan
        config: {monitors: [{type: EMAIL_ADDRESS}], record_document: true}
tap: {http: {stack: all}}
"""


def told(folder: Path) -> Inside:
    return Inside(folder, _RULES).play((ask("/a?secret=1"), answer(503, b"oh no"))).done()


def test_the_platform_is_told_in_its_own_words(tmp_path: Path) -> None:
    inside = told(tmp_path)
    request = next(e for e in inside.told.events if isinstance(e, RequestEvent))
    issues = [e for e in inside.told.events if isinstance(e, IssueEvent)]
    artifacts = [e for e in inside.told.events if isinstance(e, ArtifactEvent)]
    assert len(inside.told.events) == 4
    (issue,) = issues
    assert (issue.request_id, issue.connection_id) == (request.request_id, request.connection_id)
    assert (issue.rule, issue.conditions, issue.reasons) == (
        "Broken", "status_code", "the status is 503",
    )  # fmt: skip
    assert (issue.method, issue.path, issue.status) == ("GET", "/a", 503)
    # The whole exchange is named by its request; it comes again only with the scanner's order.
    body, sample = artifacts
    assert (body.artifact_type, body.size_bytes, body.qscan) == ("res-body", 5, False)
    assert body.request_id == request.request_id
    assert (sample.artifact_type, sample.digest) == ("http_transaction", request.object_digest)
    assert (sample.qscan, sample.qscan_monitors) == (True, "EMAIL_ADDRESS")
    assert (sample.qscan_record_document, sample.qscan_record_values) == (True, "")
    for event in inside.told.events:
        assert b"secret" not in encode_line(event)  # type: ignore[arg-type]


@pytest.fixture
def issue(tmp_path: Path) -> bytes:
    events = told(tmp_path).told.events
    return next(encode_line(e) for e in events if isinstance(e, IssueEvent))


def test_a_platform_that_takes_issues_gets_them(tmp_path: Path, issue: bytes) -> None:
    with Platform() as platform:
        platform.kinds = ["request", "issue"]
        node = Node(platform, tmp_path / "node")
        node.spool.append(issue, 1, "issue")
        node.spool_events(1)
        node.start()
        node.delivered()
        node.stop()
        assert [e.path for e in platform.others("issue") if isinstance(e, IssueEvent)] == ["/a"]
        assert [e.path for e in platform.events] == ["/1"]
    assert node.counters.drops() == {}
    assert not node.session.takes("artifact_record")


def test_a_platform_from_before_gets_requests_alone(tmp_path: Path, issue: bytes) -> None:
    with Platform() as platform:
        node = Node(platform, tmp_path / "node")
        node.spool.append(issue, 1, "issue")
        node.spool_events(1)
        node.start()
        node.delivered()
        node.stop()
        assert [e.path for e in platform.events] == ["/1"]
        assert set(platform.kind_of.values()) == {"request"}
    assert node.counters.drops() == {"event.not-taken": 1}


def test_kinds_are_in_batches_of_their_own_and_survive_a_restart(tmp_path: Path) -> None:
    boot = uuid7()
    spool = Spool(tmp_path, boot=boot, counters=Counters())
    writer = SpoolWriter(spool, Counters())
    writer.start()
    for number in range(3):
        writer.add(b"r%d\n" % number)
        writer.add(b"i%d\n" % number, "issue")
    assert writer.close(5.0)
    for reader in (spool, Spool(tmp_path, boot=uuid7(), counters=Counters())):
        found = [
            (batch.sequence, batch.kind, batch.events, decompress(reader.read(batch)))
            for batch in list(reader._batches)
        ]
        assert found == [
            (1, "request", 3, b"r0\nr1\nr2\n"),
            (2, "issue", 3, b"i0\ni1\ni2\n"),
        ]
