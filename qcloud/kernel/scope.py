"""The tenant gate: whose rows the code that runs now may touch.

A scope is opened by a door (session or token), a task or a command, and holds for one
transaction. It is kept twice: in a context variable, which makes ``TenantModel`` raise
when nobody opened one, and in settings of the database transaction, which the row-level
policies of ``qcloud.kernel.rls`` read. The settings are local to the transaction
(``set_config(…, is_local => true)``), so a pooled connection cannot carry one tenant's
scope into another's request.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from qcloud.kernel.errors import ScopeMissing


class Tier(StrEnum):
    CLOUD = "cloud"
    RESELLER = "reseller"
    CUSTOMER = "customer"


@dataclass(frozen=True, slots=True)
class Scope:
    """One account of the tree, as the tenant gate knows it."""

    account_id: UUID
    path: str
    """``/<cloud>/<reseller>/<customer>/``, ids in hexadecimal, this account last."""
    tier: Tier
    environments: frozenset[UUID] | None = None
    """The environments that whoever acts is limited to; ``None``: all there are."""

    def covers(self, path: str) -> bool:
        """Whether an account with this path is the scope's own or below it."""
        return path.startswith(self.path)


@dataclass(frozen=True, slots=True)
class _System:
    reason: str


_current: ContextVar[Scope | _System | None] = ContextVar("qcloud_scope", default=None)

_SET = (
    "SELECT set_config('qcloud.mode', %s, true), set_config('qcloud.account', %s, true),"
    " set_config('qcloud.path', %s, true), set_config('qcloud.environments', %s, true)"
)


def current_scope() -> Scope:
    """The open tenant scope.

    Raises ``ScopeMissing`` when none is open, system mode included.
    """
    scope = _current.get()
    if not isinstance(scope, Scope):
        raise ScopeMissing("no tenant scope is open; use scoped(…) around this code")
    return scope


def require_any_scope() -> None:
    """Raises ``ScopeMissing`` unless a tenant scope or system mode is open."""
    if _current.get() is None:
        raise ScopeMissing(
            "a tenant table was queried with no scope open;"
            " open scoped(…) or, where the allow-list permits it, unscoped(…)"
        )


def is_open() -> bool:
    return _current.get() is not None


@contextmanager
def scoped(scope: Scope, *, using: str = DEFAULT_DB_ALIAS) -> Iterator[Scope]:
    """A transaction (a savepoint inside another) that sees this account's rows.

    An exception rolls it back. The scope that was open before is open again afterwards.
    Inside a scope that is limited to environments every other one is limited alike.
    """
    target = _limited(scope, _current.get())
    with _gate(target, using):
        yield target


@contextmanager
def unscoped(reason: str, *, using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """A transaction in system mode, which sees every row.

    For what happens before a tenant is known (sign-in, token checks) and for work over all
    tenants (billing, retention). Each use stands in the allow-list of
    ``tests/architecture/unscoped.txt``.
    """
    with _gate(_System(reason), using):
        yield


def _limited(scope: Scope, outer: Scope | _System | None) -> Scope:
    if not isinstance(outer, Scope) or outer.environments is None:
        return scope
    if scope.environments is None:
        return replace(scope, environments=outer.environments)
    return replace(scope, environments=scope.environments & outer.environments)


@contextmanager
def _gate(target: Scope | _System, using: str) -> Iterator[None]:
    outer = _current.get()
    with transaction.atomic(using=using):
        _apply(target, using)
        token = _current.set(target)
        try:
            yield
        finally:
            _current.reset(token)
    # A released savepoint keeps its settings: give the outer transaction its own back.
    if connections[using].in_atomic_block:
        _apply(outer, using)


def _apply(target: Scope | _System | None, using: str) -> None:
    if isinstance(target, Scope):
        values = ("tenant", str(target.account_id), target.path, _array(target.environments))
    elif isinstance(target, _System):
        values = ("system", "", "", "")
    else:
        values = ("", "", "", "")
    with connections[using].cursor() as cursor:
        cursor.execute(_SET, values)


def _array(environments: frozenset[UUID] | None) -> str:
    """As PostgreSQL writes an array; empty where nothing limits the scope."""
    return "" if environments is None else f"{{{','.join(sorted(map(str, environments)))}}}"
