"""Second factors, whoever checks them. The policy above knows only this protocol."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

Factor = Literal["totp", "recovery", ""]


@dataclass(frozen=True)
class FactorState:
    """What a person has set up."""

    totp_since: datetime | None
    """When an authenticator app was confirmed; ``None``: there is none."""
    totp_used: datetime | None
    codes_left: int
    codes_confirmed: bool
    """The person has shown that the recovery codes are stored."""

    @property
    def has_totp(self) -> bool:
        return self.totp_since is not None

    @property
    def is_complete(self) -> bool:
        """The set-up went through all its steps."""
        return self.has_totp and self.codes_confirmed


@dataclass(frozen=True)
class Seed:
    """What an authenticator app is given."""

    uri: str
    """``otpauth://``, for the QR code."""
    text: str
    """Base 32 in groups of four, to type."""


class FactorEngine(Protocol):
    """Keeps and checks second factors. Each call is a transaction of its own."""

    def state(self, user_id: UUID) -> FactorState: ...

    def seed(self, user_id: UUID, label: str) -> Seed:
        """The seed of a set-up that goes on; begun if there is none. The same until it is
        confirmed, so that a set-up can be taken up again.
        """

    def confirm_seed(self, user_id: UUID, code: str) -> bool:
        """Whether the code is of the seed; if so it replaces the app from before."""

    def codes_make(self, user_id: UUID) -> tuple[str, ...]:
        """New recovery codes in place of all old ones; nobody can show them again."""

    def codes_confirm(self, user_id: UUID, code: str) -> bool:
        """Whether the code is one of them. It is not used up: the person proves to have it."""

    def verify(self, user_id: UUID, code: str) -> Factor:
        """Which factor the code is of, empty if of none. Nothing is taken twice, and what comes
        too soon after something wrong is wrong too.
        """

    def remove(self, user_id: UUID) -> None:
        """Everything that the person has set up."""
