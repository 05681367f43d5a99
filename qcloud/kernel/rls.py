"""Row-level security: the tenant gate inside PostgreSQL.

Each table of a room gets one of four classes by a ``RowSecurity`` operation in the
migration that creates it. Policies are forced, so they bind the table's owner as well;
the application connects as a role that owns nothing and cannot bypass them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from django.db import migrations


class RowClass(StrEnum):
    OWN = "own"
    """``account_id``: the account itself, nobody above or below it."""
    SUBTREE = "subtree"
    """``account_path``: the account and everyone above it."""
    PARTY_PAIR = "party_pair"
    """``seller_id`` and ``buyer_id``: both read, the seller writes."""
    INTERNAL = "internal"
    """System mode alone."""


_SYSTEM: Final = "qcloud_is_system()"
_READ: Final = {
    RowClass.OWN: f"{_SYSTEM} OR account_id = qcloud_account()",
    RowClass.SUBTREE: f"{_SYSTEM} OR starts_with(account_path, qcloud_path())",
    RowClass.PARTY_PAIR: (
        f"{_SYSTEM} OR seller_id = qcloud_account() OR buyer_id = qcloud_account()"
    ),
    RowClass.INTERNAL: _SYSTEM,
}
_WRITE: Final = {**_READ, RowClass.PARTY_PAIR: f"{_SYSTEM} OR seller_id = qcloud_account()"}

FUNCTIONS_SQL: Final = """
CREATE FUNCTION qcloud_is_system() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce(current_setting('qcloud.mode', true), '') = 'system';
CREATE FUNCTION qcloud_account() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('qcloud.account', true), '')::uuid;
CREATE FUNCTION qcloud_path() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('qcloud.path', true), '');
CREATE SEQUENCE qcloud_outbox_sequence;
CREATE FUNCTION qcloud_outbox_position() RETURNS bigint LANGUAGE sql VOLATILE
    RETURN nextval('qcloud_outbox_sequence');
CREATE FUNCTION qcloud_transaction_id() RETURNS bigint LANGUAGE sql STABLE
    RETURN pg_current_xact_id()::text::bigint;
CREATE FUNCTION qcloud_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
"""
FUNCTIONS_REVERSE_SQL: Final = """
DROP FUNCTION qcloud_refuse_change();
DROP FUNCTION qcloud_transaction_id();
DROP FUNCTION qcloud_outbox_position();
DROP SEQUENCE qcloud_outbox_sequence;
DROP FUNCTION qcloud_path();
DROP FUNCTION qcloud_account();
DROP FUNCTION qcloud_is_system();
"""


def row_security_sql(
    table: str, row_class: RowClass, *, read: str = "", write: str = "", append_only: bool = False
) -> str:
    """The statements that put a table under its policy.

    ``read`` and ``write`` replace the class's conditions for the rare table that is reached
    through another one; system mode is always added.
    """
    using = f"{_SYSTEM} OR ({read})" if read else _READ[row_class]
    check = f"{_SYSTEM} OR ({write or read})" if read else _WRITE[row_class]
    statements = [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY {table}_read ON {table} FOR SELECT USING ({using})",
        f"CREATE POLICY {table}_insert ON {table} FOR INSERT WITH CHECK ({check})",
    ]
    if append_only:
        statements += [
            f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM qcloud_app",
            (
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE"
                f" ON {table} FOR EACH STATEMENT EXECUTE FUNCTION qcloud_refuse_change()"
            ),
        ]
    else:
        statements += [
            (
                f"CREATE POLICY {table}_update ON {table} FOR UPDATE"
                f" USING ({check}) WITH CHECK ({check})"
            ),
            f"CREATE POLICY {table}_delete ON {table} FOR DELETE USING ({check})",
        ]
    statements.append(f"COMMENT ON TABLE {table} IS 'row class: {row_class.value}'")
    return ";\n".join(statements) + ";"


def _reverse_sql(table: str) -> str:
    drops = "".join(
        f"DROP POLICY IF EXISTS {table}_{command} ON {table};"
        for command in ("read", "insert", "update", "delete")
    )
    return (
        f"{drops} DROP TRIGGER IF EXISTS {table}_append_only ON {table};"
        f" ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;"
        f" ALTER TABLE {table} DISABLE ROW LEVEL SECURITY; COMMENT ON TABLE {table} IS NULL;"
    )


class RowSecurity(migrations.RunSQL):
    """Migration operation: put ``table`` under its class's policies."""

    def __init__(
        self,
        table: str,
        row_class: RowClass,
        *,
        read: str = "",
        write: str = "",
        append_only: bool = False,
    ) -> None:
        super().__init__(
            row_security_sql(table, row_class, read=read, write=write, append_only=append_only),
            _reverse_sql(table),
        )


class EnvironmentLimit(migrations.RunSQL):
    """Migration operation: whoever is limited to some environments meets no row of another.

    ``column`` holds the environment's id. The policy is restrictive: it narrows what the
    table's class allows and opens nothing.
    """

    def __init__(self, table: str, column: str = "environment_id") -> None:
        within = f"qcloud_environments() IS NULL OR {column} = ANY (qcloud_environments())"
        super().__init__(
            f"CREATE POLICY {table}_environment ON {table} AS RESTRICTIVE FOR ALL"
            f" USING ({within}) WITH CHECK ({within});",
            f"DROP POLICY {table}_environment ON {table};",
        )
