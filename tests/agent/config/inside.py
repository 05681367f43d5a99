"""An agent's inside: a configuration, traffic made by hand, and all that comes out.

Stores are the real ones: events and access logs are printed into a file, objects go into
folders.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Self

from agent.capture.source import Connection
from agent.config.current import Configuration
from agent.config.policy import Policy, Surroundings
from agent.config.stack import StackPlan
from agent.counters import Counters
from agent.link.exchange import Exchange
from agent.link.settings import LinkSettings
from agent.metrics import Registry
from agent.stores.base import Event, Shape, StoreContext
from agent.stores.console import Console
from agent.who import NOBODY, Who
from tests.agent.traffic import Listener, client
from wire.events import RequestEvent
from wire.objects import HttpTransaction, decode_transaction


class Told:
    """The platform's end, as an event store."""

    id = "platform"
    kind = "pulse"
    shape: Shape = "pulse"

    def __init__(self) -> None:
        self.events: list[Event] = []

    def start(self) -> None:
        """Nothing to start."""

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def tick(self) -> None:
        """Nothing waits."""

    def close(self, timeout: float) -> bool:
        del timeout
        return True


class Inside:
    """``{folder}`` in the text is a folder for objects."""

    def __init__(
        self,
        folder: Path,
        text: str,
        *,
        connection: Connection | None = None,
        who: Who = NOBODY,
        given: dict[str, list[str]] | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.counters = Counters()
        self.metrics = Registry()
        self.told = Told()
        self.asked: list[frozenset[str]] = []
        self.who = who
        self._printed = folder / "stdout"
        self._descriptor = os.open(self._printed, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self.around = Surroundings(
            base=LinkSettings(hostname="node-1"),
            stores=StoreContext(self.counters, environment or {}, Console(self._descriptor)),
            metrics=self.metrics,
            who_is=self._who_is,
            tags=given or {},
            uplink=self.told,
        )
        self.configuration = Configuration(self.around)
        self.connection = connection or client()
        self.reload(text)
        self.listener = Through(self.policy, [self.connection])

    def _who_is(self, connection: Connection, variables: frozenset[str]) -> Who:
        del connection
        self.asked.append(variables)
        return self.who

    @property
    def policy(self) -> Policy:
        return self.configuration.running

    def reload(self, text: str) -> bool:
        """Whether it was taken; in force from the next exchange on."""
        document = "version: 2\n" + text.replace("{folder}", str(self.folder))
        if not self.configuration.apply_text(document.encode()):
            return False
        policy = self.configuration.take()
        assert policy is not None
        if hasattr(self, "listener"):
            self.listener.linker.configure(policy.link)
            self.configuration.release(self.listener.linker.plans())
        return True

    def play(self, *exchanges: tuple[bytes, bytes]) -> Self:
        for ask, answer in exchanges:
            self.listener.ask(ask)
            self.listener.answer(answer)
        return self

    def done(self) -> Self:
        """Everything is stored and printed."""
        assert self.configuration.close(10.0)
        assert self.around.stores.out.drain(10.0)
        os.close(self._descriptor)
        return self

    # -- what came out -------------------------------------------------------------

    @property
    def lines(self) -> list[str]:
        return self._printed.read_text().splitlines()

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Printed ones, by the last part of their type."""
        found = [json.loads(line) for line in self.lines if line.startswith('{"type":"eventstore')]
        return [one["item"] for one in found if one["type"] == f"eventstore.{kind}"]

    def objects(self, name: str = "objects") -> dict[str, bytes]:
        folder = self.folder / name
        found = sorted(folder.iterdir()) if folder.exists() else []
        return {path.name: path.read_bytes() for path in found}

    def transactions(self, name: str = "objects") -> list[HttpTransaction]:
        return [decode_transaction(data) for data in self.objects(name).values()
                if data.startswith(b'{"metadata"')]  # fmt: skip

    @property
    def reported(self) -> list[RequestEvent]:
        """What the platform is told of exchanges."""
        return [event for event in self.told.events if isinstance(event, RequestEvent)]


class Through(Listener):
    """A linker whose exchanges end in the plan that they began under, as the runner does it."""

    def __init__(self, policy: Policy, connections: list[Connection]) -> None:
        super().__init__(connections=connections, settings=policy.link)

    def _emit(self, event: RequestEvent, exchange: Exchange) -> None:
        plan = exchange.plan
        assert isinstance(plan, StackPlan)
        plan.finish(event, exchange)


def ask(path: str = "/", host: str = "shop.example", method: str = "GET", body: bytes = b"",
        **headers: str) -> bytes:  # fmt: skip
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answer(status: int = 200, body: bytes = b"", kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status} Fine\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


STORES = """
services:
  event_stores: [{type: stdout}]
  object_stores: [{type: directory, id: main, path: "{folder}/objects",
                   access_url: "https://store.example/{{BUCKET}}/{{DIGEST}}"},
                  {type: directory, id: other, path: "{folder}/other"}]
tap: {http: {stack: s}}
"""


def stack(*plugins: str) -> str:
    """``STORES`` and one stack of these plugins, each in flow style."""
    return STORES + "stacks: {s: {plugins: [" + ", ".join(plugins) + "]}}\n"
