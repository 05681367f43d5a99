"""What cloud administrators set."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models

import qcloud.kernel.ids
from qcloud.kernel.rls import RowClass, RowSecurity


class Migration(migrations.Migration):
    dependencies: ClassVar = [("kernel", "0002_outbox")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="SettingRow",
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
                ("key", models.CharField(max_length=100, unique=True)),
                ("text", models.TextField(blank=True)),
                ("sealed", models.BinaryField(default=b"")),
                ("set_by", models.CharField(max_length=254)),
                ("set_by_id", models.UUIDField(null=True)),
                ("set_at", models.DateTimeField()),
            ],
            options={
                "db_table": "kernel_setting",
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        RowSecurity("kernel_setting", RowClass.INTERNAL),
    ]
