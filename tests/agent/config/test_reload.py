"""A new configuration while traffic flows: nothing is lost, nothing is mixed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agent.capture.source import Chunk, Flow, Kind
from tests.agent.config.inside import STORES, Inside, Through, answer, ask, stack
from tests.agent.told import capture_logs
from tests.agent.traffic import MS, client

FULL = stack("{type: http_capture, config: {level: full}}")
NONE = stack("{type: http_capture, config: {level: none}}")
CALL = (ask("/x"), answer(200, b"fine"))


def test_an_exchange_ends_under_the_configuration_it_began_under(tmp_path: Path) -> None:
    inside = Inside(tmp_path, FULL)
    inside.listener.ask(ask("/begun", method="POST", body=b"before"))
    assert inside.reload(NONE)
    inside.listener.answer(answer(200, b"after"))
    inside.play((ask("/later"), answer(200, b"later"))).done()
    (one,) = inside.transactions()
    assert one.response is not None
    assert (one.request.path, one.request.body, one.response.body) == (
        "/begun", b"before", b"after",
    )  # fmt: skip
    assert [event.path for event in inside.reported] == ["/begun", "/later"]


def test_a_store_that_is_gone_is_closed_when_its_last_exchange_ended(tmp_path: Path) -> None:
    inside = Inside(tmp_path, FULL)
    former = inside.policy.stores.queue()
    assert former is not None
    inside.listener.ask(ask("/begun"))
    assert inside.reload("tap: {}")
    assert inside.configuration.retiring
    assert all(thread.is_alive() for thread in former.threads)
    inside.listener.answer(answer(200, b"x"))
    inside.configuration.release(inside.listener.linker.plans())
    assert not inside.configuration.retiring
    deadline = time.monotonic() + 10
    while any(thread.is_alive() for thread in former.threads):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert len(inside.objects()) == 1
    inside.done()


def test_a_store_that_stays_is_the_same_store(tmp_path: Path) -> None:
    inside = Inside(tmp_path, FULL)
    before = inside.policy.stores
    assert inside.reload(NONE)
    after = inside.policy.stores
    assert after.queue() is before.queue()
    assert after.queue("other") is before.queue("other")
    assert after.events == before.events
    assert not inside.configuration.retiring
    inside.done()


def test_a_bad_configuration_leaves_the_old_one_in_force_and_says_why(tmp_path: Path) -> None:
    inside = Inside(tmp_path, FULL)
    running = inside.policy
    with capture_logs() as logs:
        assert not inside.reload("tap: {direction: sideways}")
        assert not inside.reload("tap: [")
    assert inside.policy is running
    state = inside.configuration.state
    assert (state.reloads, state.refused) == (1, 2)
    assert "this is not YAML" in state.problem
    said = [one["reason"] for one in logs if "refused" in one["event"]]
    assert "2:18: tap.direction: 'sideways' is none of" in said[0]
    inside.play(CALL).done()
    assert len(inside.objects()) == 1
    assert inside.reload(NONE)
    assert inside.configuration.state.problem == ""


def test_connections_that_are_open_follow_new_filters(tmp_path: Path) -> None:
    """Between exchanges at once; in the middle of one, after it."""
    inside = Inside(tmp_path, FULL)
    inside.play(CALL)
    inside.listener.ask(ask("/middle"))
    assert inside.reload(FULL.replace("http: {stack: s}", "http: {stack: s}, direction: ingress"))
    inside.listener.linker.tick(inside.listener.now)
    inside.listener.answer(answer())
    inside.listener.linker.tick(inside.listener.now)
    inside.play((ask("/unwanted"), answer()))
    assert [event.path for event in inside.reported] == ["/x", "/middle"]
    assert inside.reload(FULL)
    inside.play((ask("/wanted"), answer())).done()
    assert [event.path for event in inside.reported] == ["/x", "/middle", "/wanted"]


def test_tags_change_with_the_next_exchange(tmp_path: Path) -> None:
    expr = "rules: [{expr: 'tags.bin == \"curl\"', level: full}]"
    first = stack(f"{{type: http_capture, config: {{level: none, {expr}}}}}")
    inside = Inside(tmp_path, NONE)
    inside.play(CALL)
    assert inside.reload(first)
    inside.play(CALL).done()
    assert len(inside.objects()) == 1


def test_variables_that_are_not_set_are_named_and_not_their_values(tmp_path: Path) -> None:
    text = STORES.replace("services:\n", "services:\n  qscan: {type: disabled}\n")
    text = text.replace("{type: stdout}", "{type: disabled, token: {type: env, value: GONE}}")
    with capture_logs() as logs:
        Inside(tmp_path, text + "stacks: {s: {}}\n").done()
    assert [one["names"] for one in logs if "variables" in one["event"]] == [["GONE"]]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_many_reloads_under_load(tmp_path: Path) -> None:
    """``python -m tests.agent.config.many_reloads`` does the same with ten thousand."""
    from tests.agent.config.many_reloads import many_reloads

    seen = many_reloads(tmp_path, reloads=400)
    assert seen.lost == 0
    assert seen.exchanges > 1_000
    assert seen.wrong == []
    assert seen.threads <= 8
    assert seen.grown_bytes < 24 * 1024 * 1024


def test_exchanges_of_many_connections_at_a_reload(tmp_path: Path) -> None:
    inside = Inside(tmp_path, FULL)
    listener = Through(inside.policy, [client(key) for key in range(1, 51)])
    inside.listener = listener
    for key in range(1, 51):
        listener.linker.feed(chunk(listener, key, Flow.SENT, ask(f"/{key}")))
    assert inside.reload(NONE)
    for key in range(1, 51):
        listener.linker.feed(chunk(listener, key, Flow.RECEIVED, answer(200, b"x")))
    inside.configuration.release(listener.linker.plans())
    assert not inside.configuration.retiring
    inside.done()
    assert len(inside.objects()) == len(inside.reported) == 50


def chunk(listener: Through, key: int, flow: Flow, data: bytes) -> Chunk:
    listener.now += MS
    return Chunk(Kind.DATA, key, flow, listener.now, len(data), data)
