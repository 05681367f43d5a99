"""Codes of this room: ``notify.address``, ``notify.delivery``, ``notify.gone``."""

from __future__ import annotations

from qcloud.kernel.errors import Conflict, NotFound


class NoDelivery(NotFound):
    def __init__(self) -> None:
        super().__init__("There is no such delivery in this account.", code="notify.delivery")


class NothingToSend(Conflict):
    """The message is gone or still on its way."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="notify.gone")


class NoChannel(NotFound):
    def __init__(self) -> None:
        super().__init__("There is no such channel in this account.", code="notify.channel")
