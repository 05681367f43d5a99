"""Redis with the password that holds at the moment of connecting."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote, urlsplit

from redis import CredentialProvider, Redis

from qcloud.kernel.env import Env
from qcloud.kernel.secrets import REDIS

_CLASS: Final = f"{__name__}.PresentCredentials"


class PresentCredentials(CredentialProvider):
    """Asked at each new connection, by the cache, the broker, the scheduler and ourselves."""

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        parts = urlsplit(Env().secret(REDIS))
        password = unquote(parts.password or "")
        return (unquote(parts.username), password) if parts.username else (password,)


def present_login(url: str) -> dict[str, Any]:
    """Options for a client of ``without_password(url)``; none where Redis asks for no password."""
    return {"credential_provider": PresentCredentials()} if urlsplit(url).password else {}


def without_password(url: str) -> str:
    """The URL for a client that has ``present_login``: redis refuses to have both."""
    login, at, _ = urlsplit(url).netloc.rpartition("@")
    return url.replace(login + at, "", 1)


def broker_url(url: str) -> str:
    """The same for Celery's transport, which makes the provider from its name."""
    base = without_password(url).replace("unix://", "redis+socket://", 1)
    if not urlsplit(url).password:
        return base
    return f"{base}{'&' if urlsplit(base).query else '?'}credential_provider={_CLASS}"


def redis_client(**options: Any) -> Redis:
    """A client of the platform's Redis; close it, or use it with ``with``."""
    url = Env().secret(REDIS)
    return Redis.from_url(without_password(url), **present_login(url), **options)
