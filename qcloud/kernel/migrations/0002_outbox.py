"""The outbox and its readers' cursors."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models

import qcloud.kernel.ids
from qcloud.kernel.rls import RowClass, RowSecurity


class Migration(migrations.Migration):
    dependencies: ClassVar = [("kernel", "0001_row_security")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="OutboxCursor",
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
                ("consumer", models.CharField(max_length=100, unique=True)),
                ("transaction_id", models.BigIntegerField(default=0)),
                ("position", models.BigIntegerField(default=0)),
            ],
            options={
                "db_table": "kernel_outbox_cursor",
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="OutboxMessage",
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
                (
                    "transaction_id",
                    models.BigIntegerField(
                        db_default=models.Func(function="qcloud_transaction_id"), editable=False
                    ),
                ),
                (
                    "position",
                    models.BigIntegerField(
                        db_default=models.Func(function="qcloud_outbox_position"), editable=False
                    ),
                ),
                ("topic", models.CharField(max_length=100)),
                ("account_id", models.UUIDField(null=True)),
                ("payload", models.JSONField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "db_table": "kernel_outbox",
                "ordering": ("transaction_id", "position"),
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(
                        models.F("transaction_id"),
                        models.F("position"),
                        name="kernel_outbox_order",
                    )
                ],
            },
        ),
        RowSecurity("kernel_outbox_cursor", RowClass.INTERNAL),
        RowSecurity("kernel_outbox", RowClass.INTERNAL),
    ]
