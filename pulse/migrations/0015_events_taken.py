"""Events of each account and day, for the quota."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models

import qcloud.kernel.ids
from qcloud.kernel.rls import RowClass, RowSecurity


class Migration(migrations.Migration):
    dependencies: ClassVar = [("pulse", "0014_exports")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="EventsTaken",
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
                ("account_id", models.UUIDField()),
                ("day", models.DateField()),
                ("events", models.BigIntegerField()),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(fields=("account_id", "day"), name="pulse_taken_once")
                ],
            },
        ),
        RowSecurity("pulse_eventstaken", RowClass.INTERNAL),
    ]
