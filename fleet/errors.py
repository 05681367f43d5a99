from __future__ import annotations

from qcloud.kernel.errors import QCloudError


class TokenRefused(QCloudError):
    """``fleet.token_refused``, 401: unknown, revoked, of a closed environment; all the same."""

    def __init__(self) -> None:
        super().__init__(
            "fleet.token_refused",
            401,
            "This token is not valid (any more). Create a registration token for the "
            "environment in the portal and start the agent with it.",
        )


class ObjectDamaged(QCloudError):
    """``fleet.object_damaged``, 409: what lies in the store is not what the name promises."""

    def __init__(self, message: str) -> None:
        super().__init__("fleet.object_damaged", 409, message)
