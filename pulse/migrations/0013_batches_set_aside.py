"""Batches that the event store refuses."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models

import qcloud.kernel.ids
from qcloud.kernel.rls import RowClass, RowSecurity


class Migration(migrations.Migration):
    dependencies: ClassVar = [("pulse", "0012_reported_issues")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="AsideBatch",
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
                ("spool_id", models.UUIDField()),
                ("file", models.CharField(max_length=100)),
                ("account_id", models.UUIDField()),
                ("environment_id", models.UUIDField()),
                ("agent_id", models.UUIDField()),
                ("kind", models.CharField(max_length=32)),
                ("rows", models.BigIntegerField()),
                ("reason", models.CharField(max_length=200)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("kept", "Kept"),
                            ("retry", "To be tried again"),
                            ("drop", "To be dropped"),
                            ("stored", "Stored after all"),
                            ("dropped", "Dropped"),
                        ],
                        default="kept",
                        max_length=8,
                    ),
                ),
                ("load_id", models.UUIDField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("decided_at", models.DateTimeField(null=True)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [models.Index("spool_id", "state", name="pulse_aside_state")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("spool_id", "file"), name="pulse_aside_file_once"
                    )
                ],
            },
        ),
        RowSecurity("pulse_asidebatch", RowClass.INTERNAL),
    ]
