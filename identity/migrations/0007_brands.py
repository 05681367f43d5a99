"""How sellers present themselves."""

from __future__ import annotations

from typing import ClassVar

import django.db.models.functions.text
from django.db import migrations, models

import qcloud.kernel.ids
from qcloud.kernel.rls import RowClass, RowSecurity


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("identity", "0006_erasure_steps"),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="Brand",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=qcloud.kernel.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("account_id", models.UUIDField(db_index=True)),
                ("account_path", models.TextField()),
                ("product", models.CharField(max_length=40)),
                ("accent_light", models.CharField(max_length=7)),
                ("accent_dark", models.CharField(max_length=7)),
                ("sender", models.CharField(blank=True, max_length=254)),
                ("host", models.CharField(blank=True, max_length=253)),
                ("logo", models.BinaryField(default=b"")),
                ("logo_digest", models.CharField(blank=True, max_length=16)),
                ("changed_at", models.DateTimeField()),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(fields=("account_id",), name="identity_brand_once"),
                    models.UniqueConstraint(
                        django.db.models.functions.text.Lower("host"),
                        condition=models.Q(("host", ""), _negated=True),
                        name="identity_brand_host",
                    ),
                ],
            },
        ),
        RowSecurity("identity_brand", RowClass.SUBTREE),
    ]
