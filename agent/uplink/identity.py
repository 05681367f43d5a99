"""Who this installation is: kept in the data folder, readable by root alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from agent.spool.files import write_whole


class IdentityError(Exception):
    """The file in the data folder cannot be used; the message says what to do."""


class Identity(msgspec.Struct, kw_only=True, omit_defaults=True):
    instance_id: UUID
    agent_id: UUID | None = None
    agent_token: str = ""
    endpoint: str = ""
    """The platform that gave the token: it is shown to no other."""
    lost_one: bool = False
    """There may have been an identity before that is not known any more: under another
    address of the platform, or in a file that was lost."""
    registered_with: str = ""
    """SHA-256 of the registration token that made it known, hexadecimal."""
    account: str = ""
    environment: str = ""
    config: dict[str, Any] | None = None
    """The last configuration that the platform sent: in force until it is heard again."""


class IdentityFile:
    """``identity.json``, 0600."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "identity.json"

    def load(self, endpoint: str) -> Identity:
        """What is known; a new identity on the first start.

        Raises ``IdentityError``.
        """
        try:
            identity = msgspec.json.decode(self._path.read_bytes(), type=Identity)
        except FileNotFoundError:
            left = any(self._path.parent.glob("spool/*/*.ndjson.zst"))
            identity = Identity(instance_id=uuid7(), endpoint=endpoint, lost_one=left)
            self.save(identity)
            return identity
        except (msgspec.DecodeError, OSError) as error:
            raise IdentityError(
                f"{self._path} cannot be read ({error}); remove it to register as a new agent"
            ) from error
        if identity.endpoint != endpoint:
            lost_one = identity.lost_one or identity.agent_id is not None
            return Identity(instance_id=identity.instance_id, endpoint=endpoint, lost_one=lost_one)
        return identity

    def save(self, identity: Identity) -> None:
        write_whole(self._path, msgspec.json.encode(identity), durable=True)
