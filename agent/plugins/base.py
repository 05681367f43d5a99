"""What a plugin is, and what it may use."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from agent.counters import Counters
from agent.metrics import Registry
from agent.plugins.subject import Subject
from agent.stores.base import Event
from agent.stores.console import Console
from agent.stores.registry import OpenStores
from wire.config import Config
from wire.rules import FAILED, MISSING, Compiler, Rule, needs_headers


class Needs(NamedTuple):
    """What must be kept of an exchange until it ends."""

    headers: bool = False
    """Heads, with the query."""
    bodies: bool = False

    def __or__(self, other: Needs) -> Needs:
        return Needs(self.headers or other.headers, self.bodies or other.bodies)


NOTHING = Needs()


class Plugin(Protocol):
    """``finished`` runs on the capture thread, in the order of the stack. It must not block;
    what it raises costs this exchange this plugin, and is counted.
    """

    needs: Needs
    idle: bool
    """There is nothing it could do: no store, or its level is none. It is not asked."""

    def finished(self, subject: Subject, emit: Emit) -> None: ...


class Emit(Protocol):
    """Gives an event to the event stores that want it."""

    def __call__(self, event: Event) -> None: ...


class Check:
    """One rule: whether it passes. What cannot be told does not, and is counted."""

    __slots__ = ("_counters", "_evaluate", "name", "rule")

    def __init__(self, name: str, rule: Rule, counters: Counters) -> None:
        self.name = name
        self.rule = rule
        self._evaluate = rule.evaluate
        self._counters = counters

    def __call__(self, subject: Subject) -> bool:
        outcome = self._evaluate(subject)
        if outcome is True:
            return True
        if outcome is MISSING:
            self._counters.add("rules.missing-field")
        elif outcome is FAILED:
            self._counters.add("rules.failed")
        return False


class Tools(NamedTuple):
    """What plugins are built with."""

    config: Config
    stores: OpenStores
    counters: Counters
    metrics: Registry
    out: Console
    rules: Compiler

    def check(self, name: str, text: str) -> Check:
        """Raises ``RuleError``; a configuration that was parsed has no rule that does."""
        return Check(name, self.rules.rule(text), self.counters)


def rule_needs(checks: list[Check]) -> Needs:
    """Rules over header lines need them until the end."""
    return Needs(headers=any(needs_headers(check.rule.fields) for check in checks))
