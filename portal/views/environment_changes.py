"""What is set of an environment: what its agents keep, report and look at, and where."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase

from fleet.services import (
    environment_capture_set,
    environment_certificates_set,
    environment_dns_audit_set,
    object_store_s3_set,
    object_store_set,
)
from portal.door import action
from portal.here import Here
from portal.kit.forms import Done, Failure, attempt
from portal.views.environments import show
from qcloud.kernel.permissions import Permission


@action(Permission.FLEET_ENVIRONMENT_WRITE)
def capture_set(request: HttpRequest, here: Here, environment_id: UUID) -> HttpResponseBase:
    outcome = attempt(
        request,
        here.scope,
        "capture",
        lambda: environment_capture_set(
            actor=here.actor,
            environment_id=environment_id,
            capture_level=request.POST.get("capture_level", ""),
        ),
    )
    return _changed(request, here, environment_id, outcome, "Agents follow within a minute.")


@action(Permission.FLEET_ENVIRONMENT_WRITE)
def dns_audit_set(request: HttpRequest, here: Here, environment_id: UUID) -> HttpResponseBase:
    outcome = attempt(
        request,
        here.scope,
        "dns",
        lambda: environment_dns_audit_set(
            actor=here.actor,
            environment_id=environment_id,
            reported=request.POST.get("reported", ""),
        ),
    )
    return _changed(request, here, environment_id, outcome, "Agents follow within a minute.")


@action(Permission.FLEET_ENVIRONMENT_WRITE)
def certificates_set(request: HttpRequest, here: Here, environment_id: UUID) -> HttpResponseBase:
    outcome = attempt(
        request,
        here.scope,
        "certificates",
        lambda: environment_certificates_set(
            actor=here.actor,
            environment_id=environment_id,
            looked_at=request.POST.get("looked_at", ""),
        ),
    )
    return _changed(request, here, environment_id, outcome, "Agents follow within a minute.")


@action(Permission.FLEET_ENVIRONMENT_WRITE)
def store_set(request: HttpRequest, here: Here, environment_id: UUID) -> HttpResponseBase:
    outcome = attempt(
        request,
        here.scope,
        "store",
        lambda: object_store_set(
            actor=here.actor,
            environment_id=environment_id,
            path=request.POST.get("path", ""),
            access_url=request.POST.get("access_url", ""),
        ),
    )
    return _changed(request, here, environment_id, outcome, "The object store was set.")


@action(Permission.FLEET_ENVIRONMENT_WRITE)
def store_s3_set(request: HttpRequest, here: Here, environment_id: UUID) -> HttpResponseBase:
    typed = {name: request.POST.get(name, "").strip() for name in _S3_FIELDS}
    outcome = attempt(
        request,
        here.scope,
        "store-s3",
        lambda: object_store_s3_set(
            actor=here.actor,
            environment_id=environment_id,
            insecure=bool(request.POST.get("insecure")),
            **typed,
        ),
    )
    return _changed(request, here, environment_id, outcome, "The object store was set.")


_S3_FIELDS: Final = ("endpoint", "bucket", "region", "access_url", "access_key", "secret_key")


def _changed(
    request: HttpRequest,
    here: Here,
    environment_id: UUID,
    outcome: Done | Failure,
    sentence: str,
) -> HttpResponseBase:
    if isinstance(outcome, Failure):
        return show(request, here, environment_id, outcome)
    messages.success(request, sentence)
    return HttpResponseRedirect(here.url("environment", environment_id))
