"""Agents of a drill: numbered batches, each sent until it is acknowledged, some again later."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import msgspec
import urllib3
import zstandard

from agent.uplink.columnar import columns_of
from qcloud.kernel.ids import new_id
from wire.events import Direction, RequestEvent, encode_line
from wire.protocol import (
    BOOT_HEADER,
    COLUMNS_CONTENT_TYPE,
    EVENTS_CONTENT_TYPE,
    EVENTS_PATH,
    REGISTER_PATH,
    SEQUENCE_HEADER,
    RegisterRequest,
    RegisterResponse,
)

EVENTS: Final = 200
"""Of one batch."""
_PAUSE: Final = 0.02
_KEPT: Final = 500
"""Batches of which one may be sent again; the drill would hold all of them else."""
_HOURS: Final = 3
"""The events lie in so many hours back, so that several are counted again and again."""
_TRY_AGAIN: Final = frozenset({429, 500, 502, 503, 504})


class Sender(threading.Thread):
    """One agent of one account. ``batches``: what was acknowledged."""

    def __init__(self, url: str, slug: str, token: str, seed: str) -> None:
        super().__init__(name=seed, daemon=True)
        self.slug = slug
        self.label = seed
        self.batches = 0
        self.again = 0
        self.answers: Counter[str] = Counter()
        """Other than 200, by status or failure."""
        self.wrong: list[str] = []
        """Answers that no fault explains."""
        self.stopping = threading.Event()
        self._url = url
        self._boot = str(new_id())
        self._random = random.Random(seed)  # noqa: S311  chance, not a secret
        self._columnar = self._random.random() < 0.5
        self._http = urllib3.PoolManager(retries=False, timeout=10, maxsize=1)
        self._token = self._register(token)

    def run(self) -> None:
        kept: list[tuple[int, bytes]] = []
        while not self.stopping.is_set() and not self.wrong:
            number = self.batches + 1
            body = self._body(number)
            while not self._post(number, body) and not self.wrong:
                time.sleep(0.1 + 0.2 * self._random.random())
            self.batches = number
            place = self._random.randrange(_KEPT)
            if len(kept) < _KEPT:
                kept.append((number, body))
            else:
                kept[place] = (number, body)
            if self._random.random() < 0.1:
                self.again += self._post(*self._random.choice(kept))
            time.sleep(_PAUSE)

    def _register(self, token: str) -> str:
        answer = self._http.request(
            "POST",
            f"{self._url}{REGISTER_PATH}",
            body=msgspec.json.encode(RegisterRequest(instance_id=uuid4(), name=self.label)),
            headers={"Authorization": f"Bearer {token}"},
        )
        if answer.status != 200:
            raise RuntimeError(f"{self.label} cannot register: {answer.data!r}")
        return msgspec.json.decode(answer.data, type=RegisterResponse).agent_token

    def _body(self, number: int) -> bytes:
        moment = datetime.now(UTC)
        lines = b"".join(
            encode_line(
                RequestEvent(
                    timestamp=moment - timedelta(hours=_HOURS) * self._random.random(),
                    request_id=UUID(bytes=new_id().bytes),
                    connection_id=UUID(int=number),
                    direction=Direction.EGRESS_EXTERNAL,
                    scheme="https",
                    method="GET",
                    host="api.example.com",
                    path=f"/{self.label}/{number}/{part}",
                    status=200,
                    bytes_sent=1,
                )
            )
            for part in range(EVENTS)
        )
        return zstandard.compress(columns_of(lines) if self._columnar else lines)

    def _post(self, number: int, body: bytes) -> bool:
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": COLUMNS_CONTENT_TYPE if self._columnar else EVENTS_CONTENT_TYPE,
            "Content-Encoding": "zstd",
            BOOT_HEADER: self._boot,
            SEQUENCE_HEADER: str(number),
        }
        try:
            answer = self._http.request(
                "POST", f"{self._url}{EVENTS_PATH}", body=body, headers=headers
            )
        except urllib3.exceptions.HTTPError as error:
            self.answers[type(error).__name__] += 1
            return False
        if answer.status == 200:
            return True
        self.answers[str(answer.status)] += 1
        if answer.status not in _TRY_AGAIN:
            self.wrong.append(f"{answer.status} {answer.data[:300]!r}")
        return False
