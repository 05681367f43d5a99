"""Passwords that change, and logins that end, need no restart.

Each new connection asks for the present login. One that is refused is asked for again, once:
it may have been changed a moment ago. Connections live for ``CONN_MAX_AGE`` at most, so a
login that its keeper withdraws later than that is never missed.
"""

from __future__ import annotations

from typing import Any

import psycopg
from django.db.backends.postgresql import base

from qcloud.kernel import secrets
from qcloud.kernel.env import Env


class DatabaseWrapper(base.DatabaseWrapper):
    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        role = _role(self.settings_dict["USER"])
        if role is None:  # a database of somebody's own, as in tests
            return params
        source = secrets.source()
        login = source.database_login(role) if source else None
        if login is not None:
            return {**params, "user": login.user, "password": login.password}
        password = Env().secret(_variable(role), params.get("password", ""))
        return {**params, "password": password}

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        try:
            return super().get_new_connection(conn_params)
        except psycopg.OperationalError:
            if not self._another_login(conn_params):
                raise
            return super().get_new_connection(self.get_connection_params())

    def _another_login(self, refused: dict[str, Any]) -> bool:
        """Whether the keeper has another login than the one that did not get in."""
        source, role = secrets.source(), _role(self.settings_dict["USER"])
        if source is None or role is None:
            return False
        if refused["user"] != self.settings_dict["USER"]:
            login = secrets.DatabaseLogin(refused["user"], refused["password"])
            return source.database_login_refused(login)
        return source.changed(_variable(role))


def _role(user: str) -> str | None:
    name = user.removeprefix("qcloud_")
    return name if name in {"app", "migrator", "readonly"} and name != user else None


def _variable(role: str) -> str:
    return f"QCLOUD_DATABASE_{role.upper()}_PASSWORD"
