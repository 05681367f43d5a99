"""``detect_errors``: exchanges that fail become issues; what of them is asked for is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from agent.plugins.base import NOTHING, Emit, Needs, Tools
from agent.plugins.records import (
    artifact,
    artifact_event,
    category,
    issue,
    issue_event,
    summary,
)
from agent.plugins.subject import Subject
from agent.stores.base import ObjectMeta
from agent.stores.queue import ObjectQueue
from wire.config.plugins import DetectErrors, ErrorRule
from wire.objects import object_digest
from wire.rules.patterns import searcher

Matcher = Callable[[str], bool]


class Trigger(NamedTuple):
    condition: str
    reason: str


class DetectErrorsPlugin:
    """The first rule that holds counts; with ``continue`` those behind it may, too."""

    def __init__(self, options: DetectErrors, tools: Tools) -> None:
        self._queue = tools.stores.queue(options.object_store_id)
        self._rules = [ErrorCheck(rule) for rule in options.rules]
        self.needs = NOTHING
        self.idle = not options.rules
        for rule in options.rules:
            self.needs |= _needs(rule, stored=self._queue is not None)

    def finished(self, subject: Subject, emit: Emit) -> None:
        kept: set[str] = set()
        for check in self._rules:
            triggers = check.triggers(subject)
            if not triggers:
                continue
            rule = check.rule
            if rule.report_as_issue:
                conditions = [trigger.condition for trigger in triggers]
                reasons = [trigger.reason for trigger in triggers]
                emit(issue(subject, rule.name, conditions, reasons))
                emit(issue_event(subject, rule.name, conditions, reasons))
            if self._queue is not None:
                _record(subject, rule, self._queue, emit, kept)
            if not rule.continue_:
                return


class ErrorCheck:
    """One rule, ready: any of its triggers makes it hold where its filters let it."""

    def __init__(self, rule: ErrorRule) -> None:
        self.rule = rule
        self._codes = [_codes(code) for code in rule.trigger_status_codes]
        self._only = [_url(url) for url in rule.only_urls]
        self._exclude = [_url(url) for url in rule.exclude_urls]
        self._categories = frozenset(word.lower() for word in rule.only_categories)
        self._tags = [tag.partition(":") for tag in rule.with_tags]
        self._texts = [text.encode() for text in rule.trigger_contains]

    def triggers(self, subject: Subject) -> list[Trigger]:
        """What fired; empty: nothing, or the rule is not about such exchanges."""
        found = self._fired(subject)
        return found if found and self._concerns(subject) else []

    def _fired(self, subject: Subject) -> list[Trigger]:
        rule, event, found = self.rule, subject.event, []
        if event.status and any(low <= event.status <= high for low, high in self._codes):
            found.append(Trigger("status_code", f"the status is {event.status}"))
        if rule.trigger_empty_body and event.status and _is_empty(subject):
            found.append(Trigger("empty_body", "the response has no body"))
        limit = rule.trigger_duration
        if limit is not None and event.status and event.duration_us >= limit * 1e6:
            took = f"took {event.duration_us / 1000:.0f} ms, the limit is {limit * 1000:.0f} ms"
            found.append(Trigger("duration", took))
        body = subject.exchange.response_body
        for text in self._texts if body else ():
            if body and text in body:
                words = f"the response contains {text.decode()!r}"
                found.append(Trigger("contains", words))
        return found

    def _concerns(self, subject: Subject) -> bool:
        url = subject.plain_url
        if self._only and not any(matches(url) for matches in self._only):
            return False
        if any(matches(url) for matches in self._exclude):
            return False
        if self._categories and category(subject.event.content_type) not in self._categories:
            return False
        return all(_tagged(subject, key, value) for key, _, value in self._tags)


def _needs(rule: ErrorRule, *, stored: bool) -> Needs:
    headers = rule.trigger_empty_body
    bodies = bool(rule.trigger_contains)
    if stored:
        headers |= rule.record_req_headers or rule.record_res_headers
        bodies |= rule.record_req_body or rule.record_res_body
    return Needs(headers or bodies, bodies)


def _codes(text: str) -> tuple[int, int]:
    """``404``, ``5xx``, ``500-504`` → first and last."""
    if "-" in text:
        low, _, high = text.partition("-")
        return int(low), int(high)
    lower = text.lower()
    return int(lower.replace("x", "0")), int(lower.replace("x", "9"))


def _url(text: str) -> Matcher:
    if len(text) > 1 and text.startswith("/") and text.endswith("/"):
        return searcher(text[1:-1])
    return lambda url: text in url


def _is_empty(subject: Subject) -> bool:
    exchange = subject.exchange
    if exchange.response_body:
        return False
    return bool(exchange.response_head) and exchange.response_size <= len(exchange.response_head)


def _tagged(subject: Subject, key: str, value: str) -> bool:
    values = subject.tags.get(key)
    return values is not None and (not value or value in values)


def _record(
    subject: Subject, rule: ErrorRule, queue: ObjectQueue, emit: Emit, kept: set[str]
) -> None:
    exchange = subject.exchange
    parts = (
        ("req-headers", rule.record_req_headers, _headers(subject.request_headers)),
        ("req-body", rule.record_req_body, bytes(exchange.request_body or b"")),
        ("res-headers", rule.record_res_headers, _headers(subject.response_headers)),
        ("res-body", rule.record_res_body, bytes(exchange.response_body or b"")),
    )
    for kind, wanted, data in parts:
        if wanted and data and kind not in kept:
            kept.add(kind)
            _keep(subject, kind, data, queue, emit)


def _keep(subject: Subject, kind: str, data: bytes, queue: ObjectQueue, emit: Emit) -> None:
    digest = object_digest(data)
    is_body = kind.endswith("-body")
    meta = ObjectMeta(kind, "application/octet-stream" if is_body else "application/json")
    if queue.offer(digest, data, meta):
        url = queue.store.url(digest)
        emit(artifact(subject, kind, digest, url, summary(subject)))
        emit(artifact_event(subject, kind, digest, url, len(data)))


def _headers(headers: dict[str, str]) -> bytes:
    return json.dumps(headers, ensure_ascii=False).encode() if headers else b""
