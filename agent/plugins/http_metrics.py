"""``http_metrics``: counters and histograms of HTTP for ``/metrics``."""

from __future__ import annotations

from typing import Final

from agent.plugins.base import NOTHING, Emit, Tools
from agent.plugins.subject import Subject
from wire.config.plugins import HttpMetrics

LABELS: Final = ("method", "host", "status_code", "protocol")
DURATIONS_MS: Final = (1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0,
                       10000.0)  # fmt: skip
SIZES: Final = (256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0)


class HttpMetricsPlugin:
    needs = NOTHING
    idle = False

    def __init__(self, options: HttpMetrics, tools: Tools) -> None:
        del options
        metrics = tools.metrics
        self._total = metrics.counter("qtap_http_requests_total", "HTTP requests seen.", LABELS)
        self._duration = metrics.histogram(
            "qtap_http_requests_duration_ms", "Time from a request's first byte to its response's "
            "last, in milliseconds.", DURATIONS_MS, LABELS)  # fmt: skip
        self._request = metrics.histogram(
            "qtap_http_requests_size_bytes", "Bytes of requests, heads included.", SIZES, LABELS
        )
        self._response = metrics.histogram(
            "qtap_http_responses_size_bytes", "Bytes of responses, heads included.", SIZES, LABELS
        )  # fmt: skip

    def finished(self, subject: Subject, emit: Emit) -> None:
        del emit
        event, exchange = subject.event, subject.exchange
        labels = (event.method, event.host, str(event.status), event.protocol)
        self._total.add(labels)
        self._request.observe(labels, exchange.request_size)
        if event.status:
            self._duration.observe(labels, event.duration_us / 1000)
            self._response.observe(labels, exchange.response_size)
