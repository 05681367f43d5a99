"""Whether the platform is well: for load balancers, and for its operators."""

from __future__ import annotations

from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from portal.door import public


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


from portal.door import page
from qcloud.kernel.permissions import Permission as P


@page(P.QCLOUD_PLATFORM_READ)
def health(r, h):
    raise NotImplementedError
