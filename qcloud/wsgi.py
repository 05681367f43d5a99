"""The portal as a WSGI application."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "qcloud.settings")

_django = get_wsgi_application()
# Whatever is there now stays: the collector need not look through it again and again. And a page
# makes thousands of objects that reference counts alone remove.
gc.freeze()
gc.set_threshold(20_000, 20, 20)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answers that are whole go to the server as a list of bytes, which it sends at once; one that
    it has to ask for its pieces costs several times as much, and the live pages are many.
    """
    response: Any = _django(environ, start_response)
    if getattr(response, "streaming", True):
        return response  # type: ignore[no-any-return]  # an iterable; the server closes it
    body = [response.content]
    # What the server would call when it is through: the request's end, as Django knows it.
    response.close()
    return body
