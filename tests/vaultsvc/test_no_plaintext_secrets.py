"""No model keeps a secret in the clear: sealed, or on a list that says why not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from django.apps import apps
from django.db import models

from tests.architecture.source import modules
from vaultsvc.fields import BlindIndexField, EncryptedField
from vaultsvc.walk import sealed_columns

LIST: Final = Path(__file__).with_name("plain_columns.txt")
WORDS: Final = frozenset(
    {"apikey", "auth", "bearer", "code", "cookie", "credential", "credentials", "dsn", "hash",
     "key", "keys", "otp", "passphrase", "passwd", "password", "pin", "private", "recovery",
     "secret", "secrets", "seed", "session", "signature", "token", "tokens", "totp", "wrapped"}
)  # fmt: skip
HOLDS_NO_SECRET: Final = (
    models.BooleanField,
    models.DateField,
    models.ForeignKey,
    models.FloatField,
    models.IntegerField,
    models.UUIDField,
    models.DurationField,
    models.DecimalField,
)


def sounds_secret(name: str) -> bool:
    return bool(WORDS & set(re.split(r"_+", name.lower())))


def plain(fields: list[models.Field[Any, Any]]) -> Iterator[str]:
    """Names of the columns that sound like a secret and would be kept as they are."""
    for field in fields:
        if isinstance(field, (EncryptedField, BlindIndexField, *HOLDS_NO_SECRET)):
            continue
        if sounds_secret(str(field.column)):
            yield str(field.column)


def found() -> set[str]:
    return {
        f"{model._meta.db_table}.{column}"
        for model in apps.get_models(include_auto_created=True)
        for column in plain(list(model._meta.concrete_fields))
    }


def test_every_column_that_sounds_like_a_secret_is_sealed_or_has_its_reason() -> None:
    lines = LIST.read_text(encoding="utf-8").splitlines()
    reasons = dict(line.split(": ", 1) for line in lines if not line.startswith("#"))
    assert all(len(reason) > 10 for reason in reasons.values())
    assert found() == reasons.keys(), (
        "make it an EncryptedField (vaultsvc/fields.py), or say in plain_columns.txt why it needs"
        " none; take out what is gone"
    )


@pytest.mark.parametrize(
    ("name", "field", "caught"),
    [
        ("smtp_password", models.CharField(max_length=9), True),
        ("webhook_secret", models.TextField(), True),
        ("totp_seed", models.BinaryField(), True),
        ("credentials", models.JSONField(), True),
        ("api_key", models.CharField(max_length=9), True),
        ("token_used_at", models.DateTimeField(), False),
        ("tokenizer", models.CharField(max_length=9), False),
        ("secret", EncryptedField(), False),
    ],
)
def test_the_walk_notices(name: str, field: models.Field[Any, Any], *, caught: bool) -> None:
    field.set_attributes_from_name(name)
    assert list(plain([field])) == ([name] if caught else [])


def test_the_walk_over_sealed_columns_has_them_all() -> None:
    names = {column.name for column in sealed_columns()}
    assert {
        "fleet_registrationtoken.token",
        "kernel_setting.sealed",
        "notify_channel.secret",
    } <= names


def test_who_seals_without_a_field_is_in_the_walk_as_well() -> None:
    """Values that the walk does not know stay under old keys: declare them in vaultsvc/walk.py."""
    by_hand = {
        path
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "sealer"
        if not path.startswith("vaultsvc/")
    }
    assert by_hand == {"qcloud/kernel/settings/stored.py"}
