from __future__ import annotations

from qcloud.kernel.errors import Conflict, Invalid

RUN_GOING = "vaultsvc.run_going"


def run_going(done: int, total: int) -> Conflict:
    return Conflict(
        f"Values are being sealed anew already: {done} of {total} looked at. Wait until that run"
        " has finished; if its process died, another one takes it up within five minutes.",
        code=RUN_GOING,
    )


def wrong_confirmation(slug: str) -> Invalid:
    return Invalid(
        f"Type the account's short name, {slug}, to destroy its keys. Nothing was changed.",
        code="vaultsvc.not_confirmed",
        fields={"confirmation": f"Type {slug}."},
    )


def provider_not_shredded() -> Invalid:
    return Invalid(
        "The provider's own keys cannot be destroyed: invoices and the platform itself are under"
        " them.",
        code="vaultsvc.provider",
    )
