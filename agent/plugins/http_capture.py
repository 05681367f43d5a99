"""``http_capture``: exchanges become objects, as much of them as the level says."""

from __future__ import annotations

from typing import Final

from agent.plugins.base import NOTHING, Check, Emit, Needs, Tools, rule_needs
from agent.plugins.records import artifact, summary
from agent.plugins.subject import Subject
from agent.stores.base import ObjectMeta
from wire.config.plugins import CaptureRule, HttpCapture, Level

LEVEL_NEEDS: Final[dict[Level, Needs]] = {
    "none": NOTHING,
    "summary": NOTHING,
    "headers": Needs(headers=True),
    "full": Needs(headers=True, bodies=True),
}


class HttpCapturePlugin:
    """Keeps nothing where there is no object store for it."""

    def __init__(self, options: HttpCapture, tools: Tools) -> None:
        self._queue = tools.stores.queue(options.object_store_id)
        self._level = options.level
        self._meta = ObjectMeta(format=options.format)
        self._rules = [_rule(rule, options, tools) for rule in options.rules]
        self.needs = NOTHING
        if self._queue is not None:
            self.needs = LEVEL_NEEDS[options.level] | rule_needs([one[0] for one in self._rules])
            for _, level, _ in self._rules:
                self.needs |= LEVEL_NEEDS[level]
        self.idle = self._queue is None or (options.level == "none" and not options.rules)

    def finished(self, subject: Subject, emit: Emit) -> None:
        queue = self._queue
        if queue is None:
            return
        level, meta = self._choose(subject)
        if level == "none":
            return
        digest, data = subject.transaction(level)
        if queue.offer(digest, data, meta):
            subject.event.object_digest = digest
            url = queue.store.url(digest)
            emit(artifact(subject, meta.kind, digest, url, summary(subject)))

    def _choose(self, subject: Subject) -> tuple[Level, ObjectMeta]:
        """By the first rule that passes."""
        for check, level, meta in self._rules:
            if check(subject):
                return level, meta
        return self._level, self._meta


def _rule(rule: CaptureRule, options: HttpCapture, tools: Tools) -> tuple[Check, Level, ObjectMeta]:
    meta = ObjectMeta(format=rule.format or options.format)
    return tools.check(rule.name, rule.expr), rule.level, meta
