"""What of one request was kept beside the whole exchange, and what rules reported of it."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest

from fleet.services import object_open
from portal.here import Here
from portal.kit.payload import VIEWS, payload_view
from portal.kit.tabs import Tab
from portal.kit.urls import with_query
from pulse.analytics import Artifact, RequestDetail, artifacts_of, reports_of
from qcloud.kernel.errors import QCloudError
from qcloud.kernel.permissions import Permission
from qcloud.kernel.scope import scoped

KINDS: Final = {
    "req-headers": "Request headers",
    "req-body": "Request body",
    "res-headers": "Response headers",
    "res-body": "Response body",
    "http_transaction": "Whole exchange",
}


def kept(request: HttpRequest, here: Here, row: RequestDetail) -> dict[str, Any]:
    """Reports, objects, and the object that ``?part=`` opens, journalled."""
    found = artifacts_of(here.scope, row.request_id)
    parts = [
        {
            "name": KINDS.get(one.artifact_type, one.artifact_type),
            "digest": one.digest,
            "size": one.size_bytes,
            "qscan": one.qscan,
            "href": with_query(request, part=one.digest, view=None) + "#part",
        }
        for one in found
        if one.digest != row.object_digest
    ]
    chosen = next((a for a in found if a.digest == request.GET.get("part")), None)
    shown = _part(request, here, row, chosen) if chosen else {}
    return {"reports": reports_of(here.scope, row.request_id), "parts": parts, **shown}


def _part(request: HttpRequest, here: Here, row: RequestDetail, chosen: Artifact) -> dict[str, Any]:
    named = {"part_name": KINDS.get(chosen.artifact_type, chosen.artifact_type)}
    if not here.may(Permission.PULSE_OBJECT_READ):
        return named | {"part_reason": "Your role does not include payloads."}
    try:
        with scoped(here.scope):
            data = object_open(
                actor=here.actor, environment_id=row.environment_id, digest=chosen.digest
            )
    except QCloudError as error:
        return named | {"part_reason": error.message}
    view = request.GET.get("view", "tree")
    shown = payload_view(data, view if view in VIEWS else "tree", 0)
    tabs = [
        Tab(name.title(), with_query(request, view=name) + "#part", name == shown.view)
        for name in VIEWS
    ]
    return named | {"part": shown, "part_views": tabs}
