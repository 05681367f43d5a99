"""Against guessing: throttles by address and name, and the lock of a name.

Both work the same for names that nobody bears, so that neither tells who exists.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from django.http import HttpRequest
from django_ratelimit.core import get_usage

from identity import policies
from identity.models import NameGuard
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped
from qcloud.kernel.settings import value

LOCK_WINDOW: Final = timedelta(hours=24)


def name_rate() -> str:
    """Failures on one user name, from wherever they come. Successes do not count."""
    return f"{value(policies.GUARD_NAME)}/5m"


def address_rate() -> str:
    """Attempts from one address (IPv6: one /64), successful or not: many people may share it."""
    return f"{value(policies.GUARD_ADDRESS)}/5m"


def lock_after() -> int:
    return value(policies.GUARD_LOCK_AFTER)


def lock_for() -> timedelta:
    return value(policies.GUARD_LOCK_FOR)


def throttled(request: HttpRequest, name: str, ip: str) -> bool:
    """Counts before the password is checked: a burst of attempts must not pass side by side.

    What turned out right is counted apart and taken off again. Raises ``RedisError``.
    """
    by_ip = _counted(request, "address", network(ip), address_rate())
    tried = _counted(request, "name", name, name_rate())
    right = _counted(request, "success", name, name_rate(), add=False)
    return by_ip > _limit(address_rate()) or tried - right > _limit(name_rate())


def was_right(request: HttpRequest, name: str) -> None:
    """Raises ``RedisError``."""
    _counted(request, "success", name, name_rate())


def form_throttled(request: HttpRequest, form: str, of: str, rate: str) -> bool:
    """Counts one more use of a form under ``of``. Raises ``RedisError``."""
    return _counted(request, form, of, rate) > _limit(rate)


def _counted(request: HttpRequest, kind: str, of: str, rate: str, *, add: bool = True) -> int:
    """How many there were in the rate's window, this one included if it is to be added.

    Where a counter cannot be kept the limit is taken as passed.
    """
    usage = get_usage(
        request,
        group=f"identity.sign_in.{kind}",
        key=lambda _group, _request: of,
        rate=rate,
        increment=add,
    )
    if usage is None:  # RATELIMIT_ENABLE is off
        return 0
    if not usage["limit"]:
        return _limit(rate) + 1 if add else 0
    return int(usage["count"])


def _limit(rate: str) -> int:
    return int(rate.partition("/")[0])


def network(ip: str) -> str:
    """One subscriber has a whole IPv6 /64 to try from."""
    try:
        parsed = ip_address(ip)
    except ValueError:
        return ip
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False))
    return str(parsed)


def locked_until(name: str) -> datetime | None:
    """When the name can be tried again; ``None``: now."""
    with unscoped("sign-in: whether a name is locked"):
        row = NameGuard.objects.filter(user_name=name, locked_until__gt=now()).first()
    return row.locked_until if row else None


def failed(name: str) -> bool:
    """Count a failure; whether this one locked the name."""
    moment = now()
    with unscoped("sign-in: failures on a name"):
        NameGuard.objects.get_or_create(user_name=name)
        row = NameGuard.objects.select_for_update().get(user_name=name)
        if moment - row.since > LOCK_WINDOW:
            row.failures, row.since = 0, moment
        row.failures += 1
        locks: bool = row.failures >= lock_after()
        if locks:
            row.failures, row.since, row.locked_until = 0, moment, moment + lock_for()
        row.save()
    return locks


def succeeded(name: str) -> None:
    """Forget the failures on a name."""
    with unscoped("sign-in: failures on a name"):
        NameGuard.objects.filter(user_name=name).delete()
