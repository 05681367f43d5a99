"""The journal. Append-only: the app role may neither change nor delete, and a trigger agrees."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models

import qcloud.kernel.clock
import qcloud.kernel.ids
from qcloud.kernel.rls import RowClass, RowSecurity


class Migration(migrations.Migration):
    initial = True
    dependencies: ClassVar = [("kernel", "0001_row_security")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="Entry",
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
                ("at", models.DateTimeField(default=qcloud.kernel.clock.now)),
                ("actor_kind", models.CharField(max_length=16)),
                ("actor_id", models.UUIDField(null=True)),
                ("actor_label", models.CharField(max_length=254)),
                ("on_behalf_of", models.UUIDField(null=True)),
                ("action", models.CharField(max_length=100)),
                ("object_kind", models.CharField(blank=True, max_length=100)),
                ("object_id", models.CharField(blank=True, max_length=200)),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("allowed", "Allowed"),
                            ("denied", "Denied"),
                            ("failed", "Failed"),
                        ],
                        max_length=8,
                    ),
                ),
                ("reason", models.CharField(blank=True, max_length=500)),
                ("ip", models.CharField(blank=True, max_length=64)),
                ("request_id", models.CharField(blank=True, max_length=64)),
                ("data", models.JSONField(default=dict)),
            ],
            options={
                "ordering": ("-id",),
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(fields=["account_id", "-id"], name="audit_entry_account"),
                    models.Index(fields=["action", "-id"], name="audit_entry_action"),
                ],
            },
        ),
        RowSecurity("audit_entry", RowClass.SUBTREE, append_only=True),
    ]
