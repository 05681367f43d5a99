"""One account's flood is turned away, and nobody else notices."""

from __future__ import annotations

import os
from uuid import UUID

import pytest

from pulse.errors import OverQuota
from pulse.ingest.quota import BURST_SECONDS, Quotas
from pulse.ingest.settings import IngestSettings
from pulse.spool.folder import SpoolFolder
from qcloud.kernel.ids import new_id
from tests.pulse.door import Sender, Somebody, Tokens, door
from tests.pulse.lines import event, lines

ME, NEIGHBOUR = UUID(int=1), UUID(int=2)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_fills_at_its_rate_and_no_further() -> None:
    clock = Clock()
    quotas = Quotas(100, clock)
    quotas.check(ME)
    quotas.take(ME, int(100 * BURST_SECONDS) + 250)
    with pytest.raises(OverQuota) as refused:
        quotas.check(ME)
    assert refused.value.data["retry_after"] == 3
    quotas.check(NEIGHBOUR)
    clock.now = 2.5
    with pytest.raises(OverQuota):
        quotas.check(ME)
    clock.now = 2.6
    quotas.check(ME)
    clock.now = 1_000.0
    quotas.take(ME, int(100 * BURST_SECONDS))
    with pytest.raises(OverQuota):
        quotas.check(ME)


def test_full_buckets_are_forgotten() -> None:
    clock = Clock()
    quotas = Quotas(1, clock)
    for _ in range(5_000):
        clock.now += 1
        quotas.take(new_id(), 3)
    assert len(quotas) <= 1_024


def test_no_rate_is_no_limit() -> None:
    quotas = Quotas(0)
    quotas.take(ME, 2**50)
    quotas.check(ME)
    assert len(quotas) == 0


def test_a_flood_is_answered_429_and_a_neighbour_200(spool: SpoolFolder) -> None:
    tokens = Tokens(flood=Somebody(), quiet=Somebody())
    body = lines(*(event(path=f"/{os.urandom(400).hex()}") for _ in range(20)))
    with door(IngestSettings(spool=spool.path, account_bytes=1_000), tokens) as client:
        flood, quiet = Sender(client, token="flood"), Sender(client, token="quiet")
        answers = [flood.send(body) for _ in range(6)]
        assert answers[0].status_code == 200
        last = answers[-1]
        assert (last.status_code, last.json()["error"]["code"]) == (429, "pulse.over_quota")
        assert 1 <= int(last.headers["Retry-After"]) <= 30
        taken = sum(a.status_code == 200 for a in answers)
        assert taken < 6
        assert quiet.send(body).status_code == 200
