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
_opened_on: ContextVar[object] = ContextVar("qcloud_scope_connection", default=None)
"""The connection whose transaction has the settings of what is open: a context that was copied
into another thread comes to another connection.
"""

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
def scoped(
    scope: Scope, *, using: str = DEFAULT_DB_ALIAS, savepoint: bool = True
) -> Iterator[Scope]:
    """A transaction (a savepoint inside another) that sees this account's rows.

    An exception rolls it back. The scope that was open before is open again afterwards.
    Inside a scope that is limited to environments every other one is limited alike.
    ``savepoint=False`` is for reading: inside another transaction it costs nothing where that
    has the same scope, and an exception ends the whole of it.
    """
    target = _limited(scope, _current.get())
    with _gate(target, using, savepoint=savepoint):
        yield target


@contextmanager
def unscoped(
    reason: str, *, using: str = DEFAULT_DB_ALIAS, savepoint: bool = True
) -> Iterator[None]:
    """A transaction in system mode, which sees every row. ``savepoint`` as for ``scoped``.

    For what happens before a tenant is known (sign-in, token checks) and for work over all
    tenants (billing, retention). Each use stands in the allow-list of
    ``tests/architecture/unscoped.txt``.
    """
    with _gate(_System(reason), using, savepoint=savepoint):
        yield


def _limited(scope: Scope, outer: Scope | _System | None) -> Scope:
    if not isinstance(outer, Scope) or outer.environments is None:
        return scope
    if scope.environments is None:
        return replace(scope, environments=outer.environments)
    return replace(scope, environments=scope.environments & outer.environments)


@contextmanager
def _gate(target: Scope | _System, using: str, *, savepoint: bool) -> Iterator[None]:
    outer = _current.get()
    connection = connections[using]
    is_open_already = (
        connection.in_atomic_block and _opened_on.get() is connection and _same(target, outer)
    )
    with transaction.atomic(using=using, savepoint=savepoint):
        if not is_open_already:
            _apply(target, using)
        tokens = _current.set(target), _opened_on.set(connection)
        try:
            yield
        finally:
            _current.reset(tokens[0])
            _opened_on.reset(tokens[1])
    # A released savepoint keeps its settings: give the outer transaction its own back.
    if connection.in_atomic_block and not is_open_already:
        _apply(outer, using)


def _same(target: Scope | _System, outer: Scope | _System | None) -> bool:
    """Whether the settings of both are equal; the reason of system mode is none of them."""
    return target == outer or (isinstance(target, _System) and isinstance(outer, _System))


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
