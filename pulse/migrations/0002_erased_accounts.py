"""Accounts whose events were erased."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models

import qcloud.kernel.ids
from qcloud.kernel.rls import RowClass, RowSecurity


class Migration(migrations.Migration):
    dependencies: ClassVar = [("pulse", "0001_ledger_loads_usage")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="ErasedAccount",
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
                ("account_id", models.UUIDField(unique=True)),
                ("erased_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={"abstract": False, "base_manager_name": "objects"},
        ),
        RowSecurity("pulse_erasedaccount", RowClass.INTERNAL),
    ]
