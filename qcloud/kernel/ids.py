"""Identifiers."""

from __future__ import annotations

from uuid import UUID

import uuid_utils.compat


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562): unguessable enough to be public, ordered by time for the index."""
    return uuid_utils.compat.uuid7()
