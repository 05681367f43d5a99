"""The generated recording is traffic that every page can show as what it claims to be."""

from __future__ import annotations

import json

from agent.recording.demo import _json


def test_bodies_have_the_size_that_was_asked_for_and_are_json() -> None:
    for size in range(1, 500):
        body = _json(size)
        assert len(body) == size
        json.loads(body)
