"""Usage frozen at billing cut-offs, which nobody changes any more."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models

import qcloud.kernel.ids
from qcloud.kernel.rls import RowClass, RowSecurity


class Migration(migrations.Migration):
    dependencies: ClassVar = [("pulse", "0007_rollups_again")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="UsageFreeze",
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
                ("reference", models.CharField(max_length=100)),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField()),
                ("hours", models.IntegerField()),
                ("document", models.TextField()),
                ("digest", models.CharField(max_length=64)),
                ("previous", models.CharField(blank=True, max_length=64)),
                ("number", models.BigIntegerField()),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account_id", "reference"), name="pulse_freeze_once"
                    ),
                    models.UniqueConstraint(
                        fields=("account_id", "number"), name="pulse_freeze_number"
                    ),
                ],
            },
        ),
        RowSecurity("pulse_usagefreeze", RowClass.SUBTREE, append_only=True),
    ]
