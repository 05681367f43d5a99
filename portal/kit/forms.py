"""Forms: what was typed, and what was wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from django.http import HttpRequest

from qcloud.kernel.errors import Conflict, Invalid, NotFound, QCloudError
from qcloud.kernel.scope import Scope, scoped

_SECRET: Final = frozenset({"again", "csrfmiddlewaretoken", "password", "present", "secret_key"})
_TYPED: Final = (Conflict, Invalid, NotFound)


@dataclass(frozen=True)
class Failure:
    """Why a dialog comes back: its id, the sentence, and sentences by field."""

    dialog: str
    message: str
    status: int
    fields: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """What the service returned."""

    result: Any


def attempt(
    request: HttpRequest, scope: Scope, dialog: str, change: Callable[[], Any]
) -> Done | Failure:
    """Run a change in a savepoint of its own, so that a refused one leaves the page usable.

    What the person can mend comes back as ``Failure``; other errors go to the door.
    """
    try:
        with scoped(scope):
            return Done(change())
    except _TYPED as error:
        if isinstance(error, NotFound):
            # Refused like any other foreign object: the door journals it after the page.
            request.refused = error  # type: ignore[attr-defined]
        return failure(request, dialog, error)


def failure(request: HttpRequest, dialog: str, error: QCloudError) -> Failure:
    fields = {
        name: words if isinstance(words, str) else " ".join(words)
        for name, words in (error.data.get("fields") or {}).items()
    }
    values = {
        name: str(typed)
        for name, typed in request.POST.items()
        if name.rpartition(".")[-1] not in _SECRET
    }
    return Failure(dialog, error.message, error.http_status, fields, values)


def confirmed(request: HttpRequest, name: str) -> None:
    """Raises ``Invalid`` unless the object's name was typed."""
    if request.POST.get("confirm", "").strip() != name:
        raise Invalid(
            f"Type {name} to confirm. Nothing was changed.",
            fields={"confirm": f"This is not {name}."},
        )


def typed_twice(request: HttpRequest) -> str:
    """The new password. Raises ``Invalid`` if it was typed in two ways."""
    new = request.POST.get("password", "")
    if new != request.POST.get("again", ""):
        raise Invalid("The new password was typed in two ways.", fields={"again": "Not the same."})
    return new
