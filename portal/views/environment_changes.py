"""What is set of an environment: what its agents keep, report and look at, and where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase

from fleet.selectors import EnvironmentInfo, ObjectStoreInfo
from fleet.services import (
    environment_capture_set,
    environment_certificates_set,
    environment_dns_audit_set,
    object_store_s3_set,
    object_store_set,
)
from portal.door import action
from portal.here import Here
from portal.kit.forms import Failure, attempt
from portal.views.environments import show
from qcloud.kernel.permissions import Permission

_FOLLOW: Final = "Agents follow within a minute."
_STORED: Final = "The object store was set."
_SAID: Final = {
    "capture": _FOLLOW,
    "dns": _FOLLOW,
    "certificates": _FOLLOW,
    "store": _STORED,
    "store-s3": _STORED,
}
"""What is said when it is done, by dialog."""


@action(Permission.FLEET_ENVIRONMENT_WRITE)
def capture_set(request: HttpRequest, here: Here, environment_id: UUID) -> HttpResponseBase:
    return _change(
        request,
        here,
        environment_id,
        "capture",
        lambda: environment_capture_set(
            actor=here.actor,
            environment_id=environment_id,
            capture_level=request.POST.get("capture_level", ""),
        ),
    )


@action(Permission.FLEET_ENVIRONMENT_WRITE)
def dns_audit_set(request: HttpRequest, here: Here, environment_id: UUID) -> HttpResponseBase:
    return _change(
        request,
        here,
        environment_id,
        "dns",
        lambda: environment_dns_audit_set(
            actor=here.actor,
            environment_id=environment_id,
            reported=request.POST.get("reported", ""),
        ),
    )


@action(Permission.FLEET_ENVIRONMENT_WRITE)
def certificates_set(request: HttpRequest, here: Here, environment_id: UUID) -> HttpResponseBase:
    return _change(
        request,
        here,
        environment_id,
        "certificates",
        lambda: environment_certificates_set(
            actor=here.actor,
            environment_id=environment_id,
            looked_at=request.POST.get("looked_at", ""),
        ),
    )


@action(Permission.FLEET_ENVIRONMENT_WRITE)
def store_set(request: HttpRequest, here: Here, environment_id: UUID) -> HttpResponseBase:
    return _change(
        request,
        here,
        environment_id,
        "store",
        lambda: object_store_set(
            actor=here.actor,
            environment_id=environment_id,
            path=request.POST.get("path", ""),
            access_url=request.POST.get("access_url", ""),
        ),
    )


@action(Permission.FLEET_ENVIRONMENT_WRITE)
def store_s3_set(request: HttpRequest, here: Here, environment_id: UUID) -> HttpResponseBase:
    typed = {name: request.POST.get(name, "").strip() for name in _S3_FIELDS}
    return _change(
        request,
        here,
        environment_id,
        "store-s3",
        lambda: object_store_s3_set(
            actor=here.actor,
            environment_id=environment_id,
            insecure=bool(request.POST.get("insecure")),
            **typed,
        ),
    )


_S3_FIELDS: Final = ("endpoint", "bucket", "region", "access_url", "access_key", "secret_key")


def _change(
    request: HttpRequest,
    here: Here,
    environment_id: UUID,
    dialog: str,
    change: Callable[[], EnvironmentInfo | ObjectStoreInfo],
) -> HttpResponseBase:
    """Do it and say so on the environment's page; what is wrong is said in its dialog."""
    outcome = attempt(request, here.scope, dialog, change)
    if isinstance(outcome, Failure):
        return show(request, here, environment_id, outcome)
    messages.success(request, _SAID[dialog])
    return HttpResponseRedirect(here.url("environment", environment_id))
