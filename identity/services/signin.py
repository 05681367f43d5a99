"""The one way in: throttled, timed alike for everybody, and written to the access log."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from django.contrib.auth import login
from django.contrib.auth.hashers import check_password, make_password
from django.http import HttpRequest
from django_ratelimit.core import get_usage
from redis.exceptions import RedisError

from audit.services import Outcome, Who, record_attempt
from identity.errors import SignInRefused, SignInThrottled, SignInUnavailable
from identity.models import Account, Membership, User
from identity.selectors import account_info
from identity.sessions import Nobody, person_of
from qcloud.kernel.clock import now
from qcloud.kernel.scope import Scope, Tier, unscoped

SIGN_IN: Final = "identity.session.sign_in"
SIGN_OUT: Final = "identity.session.sign_out"

NAME_RATE: Final = "10/5m"
"""Failures on one user name, from wherever they come. Successes do not count."""
ADDRESS_RATE: Final = "100/5m"
"""Attempts from one address (IPv6: one /64), successful or not: many people may share it."""

_BACKEND: Final = "identity.backends.EmailBackend"


@dataclass(frozen=True)
class _Attempt:
    user: User | None
    scope: Scope | None
    """Under which account the access log keeps it."""
    who: Who
    user_agent: str

    def log(self, outcome: Outcome, reason: str = "") -> None:
        record_attempt(
            who=self.who,
            scope=self.scope,
            action=SIGN_IN,
            outcome=outcome,
            reason=reason,
            data={"user_name": self.who.label, "user_agent": self.user_agent},
        )


def sign_in(request: HttpRequest, *, email: str, password: str, ip: str, request_id: str) -> User:
    """Start a session for the person with this address and password.

    Each attempt is one entry of the access log (action ``identity.session.sign_in``), under
    the account that the person works for, else under the provider's. The answer and the time
    it takes do not tell whether the person exists. Must be called outside a transaction.
    Raises ``SignInRefused``, ``SignInThrottled``, ``SignInUnavailable``.
    """
    # PostgreSQL knows no NUL; an attempt with one is journalled like any other.
    address = email.replace("\0", "\N{REPLACEMENT CHARACTER}").strip().lower()[:254]
    attempt = _attempt(request, address, ip, request_id)
    _refuse_too_many(request, attempt, address, ip)
    user = attempt.user
    right = check_password(password, user.password if user else _nobodys_hash())
    if user is None or not right or not user.is_active:
        attempt.log(Outcome.DENIED, _why(user, right=right))
        raise SignInRefused
    attempt.log(Outcome.ALLOWED)
    # The password was right: a counter that went away since must not turn the person away.
    with suppress(RedisError):
        _counted(request, "success", address, NAME_RATE)
    with unscoped("sign-in: the person is known, its account not yet chosen"):
        User.objects.filter(id=user.id).update(last_login=now())
    login(request, user, backend=_BACKEND)
    return user


def sign_out(request: HttpRequest, *, ip: str, request_id: str) -> None:
    """End the session. Harmless without one."""
    user = person_of(request)
    if isinstance(user, User):
        who = Who("staff", user.id, user.email, ip, request_id)
        record_attempt(who=who, scope=_home(user.id), action=SIGN_OUT, outcome=Outcome.ALLOWED)
    request.session.flush()
    request.user = Nobody()  # type: ignore[assignment]  # Django's own would need its tables


def _attempt(request: HttpRequest, address: str, ip: str, request_id: str) -> _Attempt:
    with unscoped("sign-in: a person is looked up before any account is known"):
        user: User | None = User.objects.filter(email=address).first()
    return _Attempt(
        user=user,
        scope=_home(user.id if user else None),
        who=Who("staff", user.id if user else None, address, ip, request_id),
        user_agent=request.headers.get("User-Agent", "")[:256],
    )


def _home(user_id: object) -> Scope | None:
    """The account that the person has worked for longest, else the provider's."""
    with unscoped("sign-in: under which account the access log keeps an attempt"):
        first = Membership.objects.filter(user_id=user_id).order_by("id").first()
        wanted = {"id": first.account_id} if first else {"tier": Tier.CLOUD}
        row = Account.objects.filter(**wanted).first()
    return account_info(row).scope if row else None


def _why(user: User | None, *, right: bool) -> str:
    if user is None:
        return "no such person"
    return "wrong password" if not right else "this person is inactive"


def _refuse_too_many(request: HttpRequest, attempt: _Attempt, address: str, ip: str) -> None:
    """Raises ``SignInThrottled`` or ``SignInUnavailable``, journalled."""
    try:
        throttled = _throttled(request, address, ip)
    except RedisError as error:
        attempt.log(Outcome.FAILED, "attempts cannot be counted")
        raise SignInUnavailable from error
    if throttled:
        attempt.log(Outcome.DENIED, "too many attempts")
        raise SignInThrottled


def _throttled(request: HttpRequest, address: str, ip: str) -> bool:
    """Counts before the password is checked: a burst of attempts must not pass side by side.

    What turned out right is counted apart and taken off again.
    """
    by_ip = _counted(request, "address", _network(ip), ADDRESS_RATE)
    tried = _counted(request, "name", address, NAME_RATE)
    right = _counted(request, "success", address, NAME_RATE, add=False)
    return by_ip > _limit(ADDRESS_RATE) or tried - right > _limit(NAME_RATE)


def _counted(request: HttpRequest, kind: str, value: str, rate: str, *, add: bool = True) -> int:
    """How many there were in the rate's window, this one included if it is to be added.

    Where a counter cannot be kept the limit is taken as passed.
    """
    usage = get_usage(
        request,
        group=f"identity.sign_in.{kind}",
        key=lambda _group, _request: value,
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


def _network(ip: str) -> str:
    """One subscriber has a whole IPv6 /64 to try from."""
    try:
        parsed = ip_address(ip)
    except ValueError:
        return ip
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False))
    return str(parsed)


@lru_cache(maxsize=1)
def _nobodys_hash() -> str:
    """What a password is checked against where there is no person: it costs the same."""
    return make_password(secrets.token_urlsafe(32))
