"""Whether the platform is well: for load balancers, and for its operators."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError

from fleet.health import FleetHealth, fleet_health
from portal.door import page, public
from portal.here import Here
from portal.kit import formats
from pulse.health import PipelineHealth, pipeline_health
from qcloud.kernel.permissions import Permission
from qcloud.kernel.redis_access import redis_client

LATE: Final = timedelta(seconds=30)
STUCK: Final = timedelta(minutes=5)
LONG_QUEUE: Final = 1_000
LITTLE_ROOM: Final = 2**30
"""Bytes: some minutes of a busy platform."""
_QUEUE: Final = f"{settings.CELERY_BROKER_TRANSPORT_OPTIONS['global_keyprefix']}celery"
_MARKS: Final = {"ok": "check", "warn": "warn", "danger": "danger"}


@public("load balancers and supervisors ask without a session; the answer tells nothing else")
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 when this process reaches its database, else Django's 500."""
    del request
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    response = JsonResponse({"status": "ok"})
    response["Cache-Control"] = "no-store"
    return response


@dataclass(frozen=True)
class Check:
    """One part of the platform, how it is, and what to do."""

    name: str
    tone: str
    state: str
    detail: str
    link: str = ""
    """Words of the way to the page where something can be done about it."""
    href: str = ""

    @property
    def icon(self) -> str:
        return _MARKS[self.tone]


@page(Permission.QCLOUD_PLATFORM_READ)
def health(request: HttpRequest, here: Here) -> HttpResponseBase:
    """What breaks next?"""
    pipeline, fleet = pipeline_health(), fleet_health()
    context = {
        "pipeline": pipeline,
        "fleet": fleet,
        "lag": formats.NONE if pipeline.spool_free_bytes is None else formats.span(pipeline.lag),
        "spool_free": "its folder is not on this machine"
        if pipeline.spool_free_bytes is None
        else f"{formats.size(pipeline.spool_free_bytes)} free",
        "checks": [
            _database(),
            _store(pipeline),
            _spool(pipeline),
            _quarantine(pipeline),
            _refused(pipeline, here.url("asides")),
            _queue(),
            _agents(fleet),
        ],
    }
    return render(request, "pages/health.html", context)


def _timed(ask: Callable[[], object]) -> str:
    began = time.perf_counter()
    ask()
    return formats.milliseconds((time.perf_counter() - began) * 1_000)


def _database() -> Check:
    with connection.cursor() as cursor:
        took = _timed(lambda: cursor.execute("SELECT 1"))
    return Check("PostgreSQL", "ok", "answers", f"within {took}")


def _store(pipeline: PipelineHealth) -> Check:
    if pipeline.store_error:
        return Check("Event store", "danger", "does not answer", pipeline.store_error)
    last = (
        f"last load {formats.ago(pipeline.last_load)}" if pipeline.last_load else "nothing loaded"
    )
    return Check(
        "Event store", "ok", "answers", f"{formats.count(pipeline.store_rows)} events; {last}"
    )


def _spool(pipeline: PipelineHealth) -> Check:
    if pipeline.spool_free_bytes is None:
        return Check(
            "Ingest spool",
            "warn",
            "not seen from here",
            f"there is no folder {settings.SPOOL_PATH} on this machine, so its filling and its"
            " lag are not watched. Where ingest runs on this machine, give this process the same"
            " QCLOUD_SPOOL_PATH; where it runs on others, watch their disks there",
        )
    detail = (
        f"{formats.size(pipeline.spool_bytes)} in {pipeline.spool_segments} segments,"
        f" {formats.size(pipeline.spool_free_bytes)} free on its disk"
    )
    if pipeline.lag > STUCK:
        wait = f"waits for {formats.span(pipeline.lag)}; is the loader running?"
        return Check("Ingest spool", "danger", "not emptied", f"{detail}; the oldest batch {wait}")
    if pipeline.spool_free_bytes < LITTLE_ROOM:
        return Check(
            "Ingest spool",
            "danger",
            "nearly full",
            f"{detail}; once it is full, batches are refused and wait on the agents' disks. Make"
            " room on the disk, and see why the loader does not empty the spool",
        )
    if pipeline.lag > LATE:
        return Check(
            "Ingest spool", "warn", "late", f"{detail}; {formats.span(pipeline.lag)} behind"
        )
    return Check("Ingest spool", "ok", "emptied in time", detail)


def _quarantine(pipeline: PipelineHealth) -> Check:
    if pipeline.spool_free_bytes is None:
        return Check("Damaged batches", "warn", "not seen from here", "they lie in the spool")
    if pipeline.quarantined:
        return Check(
            "Damaged batches",
            "warn",
            "found",
            f"{pipeline.quarantined} stretches lie in {settings.SPOOL_PATH}/quarantine: a disk or"
            " file system that loses what it wrote. Look at the disk, and keep the folder for"
            " support",
        )
    return Check("Damaged batches", "ok", "none", "every batch could be read")


def _refused(pipeline: PipelineHealth, href: str) -> Check:
    if pipeline.set_aside:
        return Check(
            "Refused batches",
            "danger",
            "set aside",
            f"{formats.count(pipeline.set_aside)} that the event store does not take; kept in the"
            f" spool, where they take {formats.size(pipeline.aside_bytes)} of its room, and not"
            " counted",
            "See and decide",
            href,
        )
    return Check("Refused batches", "ok", "none", "the event store takes every batch")


def _queue() -> Check:
    """Tasks that wait for a worker, in the broker's own list."""
    try:
        with redis_client(socket_timeout=2) as broker:
            waiting = int(broker.llen(_QUEUE))
    except RedisError as error:
        return Check("Task queue", "danger", "does not answer", str(error))
    if waiting > LONG_QUEUE:
        return Check("Task queue", "warn", "long", f"{formats.count(waiting)} tasks wait")
    return Check("Task queue", "ok", "short", f"{formats.count(waiting)} tasks wait")


def _agents(fleet: FleetHealth) -> Check:
    silent = fleet.agents - fleet.heard
    if not fleet.agents:
        return Check("Agents", "ok", "none", "no agent has registered")
    if silent:
        return Check(
            "Agents",
            "warn",
            "some silent",
            f"{fleet.heard} of {fleet.agents} reported within 100 s",
        )
    return Check("Agents", "ok", "all heard", f"{fleet.agents} reported within 100 s")
