"""Whether anything has changed of what let a person in, for many at once and cheaply."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from django.db import connection

from identity.standing import ids_on
from qcloud.kernel.scope import unscoped

_RULES: Final = (
    "identity_mfarule", "identity_mfaexemption", "identity_mfagroupmember", "identity_brand",
    "kernel_setting",
)  # fmt: skip
"""Tables of rules for many: few rows, seldom written."""

# PostgreSQL gives every version of a row the number of the transaction that wrote it.
_VERSIONS: Final = ", ".join(
    f"(SELECT concat(count(*), '/', sum(xmin::text::bigint)) FROM {table})"  # noqa: S608  ours
    for table in _RULES
)
_PEOPLE: Final = f"""
SELECT s.session_key, a.slug, a.account_path,
    concat_ws(' ', s.xmin, u.xmin, m.xmin, r.xmin, {_VERSIONS})
FROM unnest(%s::text[], %s::text[]) AS asked (session_key, slug)
JOIN identity_session s ON s.session_key = asked.session_key
JOIN identity_user u ON u.id = s.user_id
JOIN identity_account a ON a.slug = asked.slug
JOIN identity_membership m ON m.user_id = u.id AND m.account_id = a.id
LEFT JOIN identity_role r ON r.id = m.custom_role_id
"""  # noqa: S608  tables of ours
_ACCOUNTS: Final = "SELECT id, xmin::text FROM identity_account WHERE id = ANY(%s)"

Place = tuple[str, str]
"""A session's stored key, and the slug of the account that its person is in."""


def marks(places: Collection[Place]) -> dict[Place, str]:
    """For each place a text that is another one as soon as the session, the person, its
    membership, its role, the account or one above it was written, or the rules that stand above
    all of them: second factors, settings, whose host name it is. None for who is no member, or
    has no session any more.
    """
    if not places:
        return {}
    with unscoped("whether what let people in is still as it was"), connection.cursor() as cursor:
        cursor.execute(_PEOPLE, [[key for key, _ in places], [slug for _, slug in places]])
        rows = cursor.fetchall()
        above = {path: ids_on(path) for _, _, path, _ in rows}
        cursor.execute(_ACCOUNTS, [list({account for ids in above.values() for account in ids})])
        versions = dict(cursor.fetchall())
    standing = {
        path: " ".join(versions.get(account, "") for account in ids) for path, ids in above.items()
    }
    return {(key, slug): f"{own} {standing[path]}" for key, slug, path, own in rows}
