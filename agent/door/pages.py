"""What the status server shows, made of the runner's ``Status`` and the registry."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from agent.door.server import TEXT, Page, Pages
from agent.metrics import Registry
from agent.status import Status

STALLED_SECONDS: Final = 30.0
"""The loop ticks each second; silent for so long it does not live."""


class Pulse:
    """When the capture loop was last alive. Written by one thread, read by others."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    def beat(self) -> None:
        self._last = self._clock()

    @property
    def silent(self) -> float:
        """Seconds."""
        return self._clock() - self._last


def pages(status: Callable[[], Status], metrics: Registry, pulse: Pulse) -> Pages:
    return {
        "/healthz": lambda: _health(pulse),
        "/readyz": lambda: _ready(status()),
        "/metrics": lambda: Page(200, metrics.render(), TEXT),
        "/system/metrics": lambda: Page(200, system_metrics(status(), pulse), TEXT),
    }


def _health(pulse: Pulse) -> Page:
    if pulse.silent > STALLED_SECONDS:
        return Page(503, f"the capture loop has been silent for {pulse.silent:.0f} s\n")
    return Page(200, "ok\n")


def _ready(status: Status) -> Page:
    if status.state != "running":
        return Page(503, f"{status.state}\n")
    return Page(200, "ok\n")


def system_metrics(status: Status, pulse: Pulse) -> str:
    """Of the agent itself, in Prometheus' text format."""
    lines: list[str] = []
    for name, kind, about, value in _numbers(status, pulse):
        lines += _head(name, kind, about)
        lines.append(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}")
    lines += _head("qcloud_agent_dropped_total", "counter", "What was dropped, and why.")
    for key, count in status.dropped.items():
        what, _, reason = key.partition(".")
        lines.append(f'qcloud_agent_dropped_total{{kind="{_text(what)}",reason="{_text(reason)}"}} '
                     f"{count}")  # fmt: skip
    lines += _head("qcloud_agent_counted_total", "counter", "Everything else that was counted.")
    lines += [
        f'qcloud_agent_counted_total{{what="{_text(name)}"}} {count}'
        for name, count in status.counts.items()
    ]
    lines += _head("qcloud_agent_objects_waiting_bytes", "gauge", "Before an object store.")
    lines += [
        f'qcloud_agent_objects_waiting_bytes{{store="{_text(name)}"}} {held}'
        for name, held in status.objects_waiting_bytes.items()
    ]
    lines += _head("qcloud_agent_probe_active", "gauge", "Whether a family of probes works.")
    lines += [
        f'qcloud_agent_probe_active{{family="{_text(probe.family)}"}} {int(probe.active)}'
        for probe in status.probes
    ]
    lines += _head("qcloud_agent_info", "gauge", "What runs here.")
    lines.append(
        f'qcloud_agent_info{{state="{_text(status.state)}",object_store='
        f'"{_text(status.object_store)}",config_digest="{_text(status.config_digest)}"}} 1'
    )
    return "".join(f"{line}\n" for line in lines)


def _numbers(status: Status, pulse: Pulse) -> list[tuple[str, str, str, float]]:
    prefix = "qcloud_agent"
    return [
        (f"{prefix}_uptime_seconds", "gauge", "Since start.", status.uptime_seconds),
        (f"{prefix}_cpu_seconds_total", "counter", "User and system time.", status.cpu_seconds),
        (f"{prefix}_memory_bytes", "gauge", "Resident memory.", status.memory_bytes),
        (f"{prefix}_loop_silent_seconds", "gauge", "Since the loop's last turn.", pulse.silent),
        (f"{prefix}_captured_chunks_total", "counter", "Calls seen.", status.captured_chunks),
        (f"{prefix}_captured_bytes_total", "counter", "Bytes of them.", status.captured_bytes),
        (f"{prefix}_open_connections", "gauge", "Followed now.", status.open_connections),
        (f"{prefix}_exchanges_total", "counter", "Exchanges that ended.", status.exchanges),
        (f"{prefix}_events_spooled_total", "counter", "Durable.", status.events_spooled),
        (f"{prefix}_events_acknowledged_total", "counter", "Taken by the platform.",
         status.events_acknowledged),
        (f"{prefix}_events_waiting", "gauge", "In the spool.", status.events_waiting),
        (f"{prefix}_spool_bytes", "gauge", "Of the spool on disk.", status.spool_bytes),
        (f"{prefix}_spool_limit_bytes", "gauge", "Its bound.", status.spool_limit_bytes),
        (f"{prefix}_objects_stored_total", "counter", "Payload objects.", status.objects_stored),
        (f"{prefix}_config_reloads_total", "counter", "Put into force.", status.config_reloads),
        (f"{prefix}_config_refused_total", "counter", "Refused.", status.config_refused),
    ]  # fmt: skip


def _head(name: str, kind: str, about: str) -> list[str]:
    return [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]


def _text(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
