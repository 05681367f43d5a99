"""How far each room is with forgetting an account."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models

import qcloud.kernel.ids
from qcloud.kernel.rls import RowClass, RowSecurity


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("identity", "0005_second_factors"),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="ErasureStep",
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
                ("step", models.CharField(max_length=32)),
                ("position", models.SmallIntegerField()),
                ("attempt", models.SmallIntegerField(default=1)),
                ("asked_at", models.DateTimeField(null=True)),
                ("taken_at", models.DateTimeField(null=True)),
                ("done_at", models.DateTimeField(null=True)),
                ("removed", models.JSONField(default=dict)),
            ],
            options={
                "ordering": ("position",),
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account_id", "step"), name="identity_erasure_step_once"
                    )
                ],
            },
        ),
        RowSecurity("identity_erasurestep", RowClass.SUBTREE),
    ]
