"""One configuration at work. Built on any thread, then used on the capture thread alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from agent.capture.source import Connection
from agent.config.filters import ProcessFilters
from agent.config.stack import StackPlan, build_plugins
from agent.config.tags import Tags, tag_lines, tags_of, variables
from agent.counters import Counters
from agent.link.settings import About, LinkSettings
from agent.metrics import Registry
from agent.plugins.base import Check, Tools
from agent.plugins.subject import Subject, resolve
from agent.stores.base import Event, EventStore, StoreContext
from agent.stores.registry import NO_STORES, OpenStores, open_stores
from agent.who import WhoIs
from wire.config import Config
from wire.config import EventStore as EventStoreConfig
from wire.events import Direction, RequestEvent
from wire.events import Event as PlatformEvent
from wire.rules import Compiler

HEADS_ONLY: Final = 16_384
"""Bytes of one call that are enough to see heads."""
WITH_BODIES: Final = 262_144
DNS_PORT: Final = 53

DIRECTIONS: Final = {
    "all": frozenset(Direction),
    "ingress": frozenset({Direction.INGRESS}),
    "egress": frozenset({Direction.EGRESS_INTERNAL, Direction.EGRESS_EXTERNAL}),
    "egress-internal": frozenset({Direction.EGRESS_INTERNAL}),
    "egress-external": frozenset({Direction.EGRESS_EXTERNAL}),
}
_HOSTS_KEPT: Final = 4_096


class Way(Protocol):
    """To the platform that a configuration names; ``agent.uplink.way``."""

    @property
    def uplink(self) -> EventStore | None: ...

    def prepare(self, store: EventStoreConfig) -> Callable[[], None]:
        """Everything that can fail; the result puts it into force. Raises ``StoreError``."""
        ...


class Surroundings(NamedTuple):
    """What a policy needs that no configuration says."""

    base: LinkSettings
    """Limits and the host's name, from the options."""
    stores: StoreContext
    metrics: Registry
    who_is: WhoIs
    tags: Tags
    """Given with ``--tags``."""
    uplink: EventStore | None = None
    """The platform that manages this agent; it is told of everything, whatever the
    configuration says."""
    way: Way | None = None
    """To the platform that a configuration of one's own names."""
    saw: Callable[[RequestEvent], None] | None = None
    """Told of every exchange that a platform is told of, where certificates are looked at."""

    @property
    def counters(self) -> Counters:
        return self.stores.counters

    def uplink_for(self, config: Config) -> list[EventStore]:
        """The uplink, if the configuration wants it."""
        named = any(store.type == "pulse" for store in config.services.event_stores)
        own = self.way.uplink if self.way is not None and named else None
        return [one for one in (self.uplink, own) if one is not None]


class Policy:
    """``digest``: of the document, as the platform compares it; empty before the first."""

    def __init__(
        self,
        config: Config,
        digest: str,
        around: Surroundings,
        former: OpenStores = NO_STORES,
    ) -> None:
        """Raises ``StoreError`` where a store cannot even be tried."""
        self.config = config
        self.digest = digest
        self.counters = around.counters
        self.stores = open_stores(config, around.stores, former)
        rules = Compiler(resolve, {macro.name: macro.expr for macro in config.rulekit.macros})
        tools = Tools(config, self.stores, self.counters, around.metrics, around.stores.out, rules)
        self._around = around
        self._pulse = _of_shape(self.stores.events, "pulse") + around.uplink_for(config)
        self._qtap = _of_shape(self.stores.events, "qtap")
        self._all = self._pulse + self._qtap
        self._saw = around.saw if self.checks_certificates else None
        self.search_headers = tuple(sorted({name.lower() for name in config.qcloud.search_headers}))
        self._build_control(tools)
        self._build_plans(tools)
        self._filters = ProcessFilters(config.tap.filters)
        self._variables = variables(config.tags, _fields(config, tools))
        self.link = self._link()

    @property
    def call_limit(self) -> int:
        """Bytes of one call that capture should copy."""
        bodies = any(pair[0].keep_bodies for pair in self._plans.values())
        return WITH_BODIES if bodies else HEADS_ONLY

    @property
    def event_stores(self) -> list[EventStore]:
        """All that events go to, the platform among them."""
        return self._all

    @property
    def reports_connections(self) -> bool:
        return bool(self._qtap)

    # -- for linking ---------------------------------------------------------------

    def plan_for(self, host: str, payload: bool) -> StackPlan:  # noqa: FBT001  on the fast path
        """What is kept of an exchange with ``host``, and who sees it."""
        pair = self._hosts.get(host)
        if pair is None:
            if len(self._hosts) >= _HOSTS_KEPT:
                self._hosts.clear()
            pair = self._hosts[host] = self._plans[self._stack_of(host)]
        return pair[0] if payload else pair[1]

    def describe(self, connection: Connection) -> About | None:
        """Who it is and how it is tagged; ``None``: a connection that is left alone."""
        verdict = self._filters.verdict(connection.exe)
        if not (verdict.tls if connection.tls else verdict.follow):
            return None
        if DNS_PORT in {connection.remote_port, connection.local_port} and not (
            self.config.tap.audit_include_dns and verdict.dns
        ):
            return None
        return self._about(connection, payload=verdict.payload)

    @property
    def audits_dns(self) -> bool:
        """DNS lookups are to be captured, and there is somebody to tell."""
        return self.config.tap.audit_include_dns and bool(self._all)

    def describe_dns(self, connection: Connection) -> About | None:
        """Whose lookups these are; ``None``: they are left alone."""
        if not self._filters.verdict(connection.exe).dns:
            return None
        return self._about(connection, payload=False)

    def _about(self, connection: Connection, *, payload: bool) -> About:
        around = self._around
        who = around.who_is(connection, self._variables)
        tags = tags_of(connection, who, self.config.tags, around.tags, around.base.hostname)
        lines, left_out = tag_lines(who, self.config.tags, around.tags)
        if left_out:
            self.counters.add("tags.left-out", left_out)
        return About(who, tags, payload, lines)

    # -- for plans -----------------------------------------------------------------

    def allows(self, subject: Subject) -> bool:
        """``control``: the first rule that passes decides."""
        for check, allowed in self.control:
            if check(subject):
                return allowed
        return self._allow

    @property
    def checks_certificates(self) -> bool:
        """Servers are to be asked for their certificates, and there is a platform to tell."""
        return self.config.qcloud.certificates and bool(self._pulse)

    def report(self, event: RequestEvent) -> None:
        if self._saw is not None:
            self._saw(event)
        for store in self._pulse:
            store.emit(event)

    def emit(self, event: Event) -> None:
        """To every store that wants such an event."""
        for store in self._pulse if isinstance(event, PlatformEvent) else self._qtap:
            store.emit(event)

    # -- building ------------------------------------------------------------------

    def _build_control(self, tools: Tools) -> None:
        control = self.config.control
        self._allow = control.default == "allow"
        self.control: list[tuple[Check, bool]] = [
            (tools.check(rule.name, rule.expr), rule.actions[0] == "allow")
            for rule in control.rules
            if rule.actions
        ]
        if not self._allow and not self.control:
            # Nothing passes; one rule that never holds keeps the question being asked.
            self.control = [(tools.check("default", "false"), False)]

    def _build_plans(self, tools: Tools) -> None:
        self._plans: dict[str, tuple[StackPlan, StackPlan]] = {}
        for name in ("", *self.config.stack_names):
            stack = self.config.stacks.get(name)
            plan = StackPlan(self, build_plugins(stack, tools) if stack else [], payload=True)
            self._plans[name] = (plan, plan.without_payload())
        self._hosts: dict[str, tuple[StackPlan, StackPlan]] = {}
        self._exact: dict[str, str] = {}
        self._below: dict[str, str] = {}
        for endpoint in reversed(self.config.tap.endpoints):
            domain = endpoint.domain.lower()
            if domain.startswith("*."):
                self._below[domain[1:]] = endpoint.http.stack
            else:
                self._exact[domain] = endpoint.http.stack

    def _stack_of(self, host: str) -> str:
        """The exact name first, then the longest ``*.`` that fits, then HTTP's own."""
        if host in self._exact:
            return self._exact[host]
        fitting = [suffix for suffix in self._below if host.endswith(suffix)]
        if fitting:
            return self._below[max(fitting, key=len)]
        return self.config.tap.http.stack

    def _link(self) -> LinkSettings:
        base = self._around.base
        return LinkSettings(
            body_limit=base.body_limit,
            directions=DIRECTIONS[self.config.tap.direction],
            ignore_loopback=self.config.tap.ignore_loopback,
            idle_seconds=base.idle_seconds,
            max_connections=base.max_connections,
            replayed=base.replayed,
            hostname=base.hostname,
            plan_for=self.plan_for,
            describe=self.describe,
        )


def _of_shape(stores: Sequence[EventStore], shape: str) -> list[EventStore]:
    return [store for store in stores if store.shape == shape]


def _fields(config: Config, tools: Tools) -> set[str]:
    """All fields that any rule asks for."""
    texts = [rule.expr for rule in config.control.rules]
    for stack in config.stacks.values():
        for plugin in stack.plugins:
            rules = getattr(plugin.config, "rules", ())
            texts += [rule.expr for rule in rules if hasattr(rule, "expr")]
    return {field for text in texts for field in tools.check("", text).rule.fields}
