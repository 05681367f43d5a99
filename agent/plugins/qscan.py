"""``qscan``, the sampling side: which exchanges the scanner is shown."""

from __future__ import annotations

import random
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from agent.logs import get_logger
from agent.plugins.base import NOTHING, Emit, Needs, Tools
from agent.plugins.records import artifact, artifact_event, summary
from agent.plugins.subject import Subject
from wire.config.plugins import Qscan

_IDENTIFIER: Final = re.compile(r"(?<=/)(?:\d+|[0-9a-fA-F-]{16,})(?=/|\Z)")
_log = get_logger()

Endpoint = tuple[str, str, str]


class Sampler:
    """All of the first ``baseline`` exchanges of an endpoint, then a part of them.

    An endpoint is a host, a method and a path without its identifiers. At most ``size`` are
    remembered; the one unseen longest is forgotten first, and each after ``ttl`` seconds.
    """

    def __init__(
        self,
        options: Qscan,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._baseline = options.sample_baseline
        self._rate = options.sample_rate
        self._ttl = options.cache_ttl
        self._size = options.cache_size
        self._clock = clock
        self._chance = chance
        self._seen: OrderedDict[Endpoint, tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def wants(self, endpoint: Endpoint) -> bool:
        now = self._clock()
        count, last = self._seen.pop(endpoint, (0, now))
        if now - last > self._ttl:
            count = 0
        self._seen[endpoint] = (count + 1, now)
        if len(self._seen) > self._size:
            self._seen.popitem(last=False)
        return count < self._baseline or self._chance() < self._rate


class QscanPlugin:
    def __init__(self, options: Qscan, tools: Tools) -> None:
        service = tools.config.services.qscan
        self._kind = service.type if service is not None else "client"
        self._queue = tools.stores.queue(options.object_store_id)
        self._options = options
        self._counters = tools.counters
        self._sampler = Sampler(options)
        self.idle = self._queue is None or self._kind == "disabled"
        self.needs = NOTHING if self.idle else Needs(headers=True, bodies=True)

    def finished(self, subject: Subject, emit: Emit) -> None:
        queue = self._queue
        if queue is None or not self._sampler.wants(endpoint_of(subject)):
            return
        digest, data = subject.transaction("full")
        if not queue.offer(digest, data):
            return
        if not subject.event.object_digest:
            subject.event.object_digest = digest
        self._counters.add("qscan.sampled")
        url, order = queue.store.url(digest), self._order()
        emit(artifact(subject, "http_transaction", digest, url, summary(subject) | order))
        emit(artifact_event(subject, "http_transaction", digest, url, len(data), **order))
        if self._options.verbose or self._kind == "stdout":
            _log.info("qscan sample", digest=digest, host=subject.event.host,
                      path=subject.event.path)  # fmt: skip

    def _order(self) -> dict[str, str | int | bool]:
        """What the scanner is to do with it."""
        monitors = self._options.monitors
        return {
            "qscan": True,
            "qscan_monitors": ",".join(one.type for one in monitors),
            "qscan_record_values": ",".join(one.type for one in monitors if one.record_value),
            "qscan_record_document": self._options.record_document,
        }


def endpoint_of(subject: Subject) -> Endpoint:
    event = subject.event
    return event.host, event.method, _IDENTIFIER.sub("*", event.path)
