"""The ingest application in this process, and an agent that calls it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import zstandard
from starlette.applications import Starlette

from pulse.ingest.app import create_app
from pulse.ingest.gateway import Allowance
from pulse.ingest.settings import IngestSettings
from qcloud.kernel.ids import new_id
from wire.protocol import BOOT_HEADER, EVENTS_PATH, SEQUENCE_HEADER


@dataclass(frozen=True)
class Somebody:
    """An agent as its token identifies it."""

    agent_id: UUID = field(default_factory=new_id)
    account_id: UUID = field(default_factory=new_id)
    environment_id: UUID = field(default_factory=new_id)
    replaying: bool = False


class Tokens:
    """Tokens without a fleet: what the spool's tests need of it, and no more."""

    def __init__(self, **known: Somebody) -> None:
        self.known = known
        self.refusals: list[tuple[str, str]] = []
        self.released = 0
        self.forgotten: set[tuple[UUID, UUID]] = set()
        self.limits: dict[UUID, tuple[Allowance, ...]] = {}

    def identify(self, token: str) -> Somebody | None:
        return self.known.get(token)

    def allowances(self, identity: Somebody) -> tuple[Allowance, ...]:
        return self.limits.get(identity.account_id, ())

    def is_forgotten(self, identity: Somebody, boot_id: UUID) -> bool:
        return (identity.agent_id, boot_id) in self.forgotten

    def refused(self, token: str, action: str, ip: str, request_id: str) -> None:
        assert ip
        assert request_id
        self.refusals.append((token, action))

    def release(self) -> None:
        self.released += 1

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the tests of the spool do not call {name}")


class Client:
    """Calls the application as its server would, from a loop in a thread of its own."""

    def __init__(self, app: Starlette, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._loop = loop

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        answer: httpx.Response = self.run(self._request(method, path, arguments))
        return answer

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _request(self, method: str, path: str, arguments: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=self._transport, base_url="http://door") as client:
            return await client.request(method, path, **arguments)


@contextmanager
def door(settings: IngestSettings, gateway: Any) -> Iterator[Client]:
    """The door between its start-up and its shutdown."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    app = create_app(settings, gateway)
    client = Client(app, loop)
    lifespan = app.router.lifespan_context(app)
    try:
        client.run(lifespan.__aenter__())
        yield client
        client.run(lifespan.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@dataclass
class Sender:
    """An agent's side: a token, a boot, a running number."""

    client: Client
    token: str = "owner"
    boot_id: UUID = field(default_factory=new_id)
    sequence: int = 0

    def send(self, body: bytes, **headers: str) -> httpx.Response:
        self.sequence += 1
        return self.again(body, self.sequence, **headers)

    def again(self, body: bytes, sequence: int, **headers: str) -> httpx.Response:
        return self._post(body, sequence, headers, compress=True)

    def again_raw(self, body: bytes, sequence: int) -> httpx.Response:
        """``body`` is what it is: compressed already, or broken."""
        return self._post(body, sequence, {}, compress=False)

    def _post(
        self, body: bytes, sequence: int, headers: dict[str, str], *, compress: bool
    ) -> httpx.Response:
        sent = {
            "Authorization": f"Bearer {self.token}",
            BOOT_HEADER: str(self.boot_id),
            SEQUENCE_HEADER: str(sequence),
            "Content-Encoding": "zstd",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        content = (
            zstandard.compress(body) if compress and sent["Content-Encoding"] == "zstd" else body
        )
        return self.client.request("POST", EVENTS_PATH, content=content, headers=sent)
