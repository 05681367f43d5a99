"""When each boot of the ledger was used last, and below which boots it is not complete."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models
from django.db.models.functions import Now

import qcloud.kernel.ids
from qcloud.kernel.rls import RowClass, RowSecurity


class Migration(migrations.Migration):
    dependencies: ClassVar = [("pulse", "0017_defaults_for_older_writers")]

    operations: ClassVar = [
        # What is there counts as used now.
        migrations.AddField(
            model_name="agentbootledger",
            name="used_at",
            field=models.DateTimeField(db_default=Now()),
        ),
        migrations.CreateModel(
            name="AgentBootFloor",
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
                ("agent_id", models.UUIDField(unique=True)),
                ("boot_id", models.UUIDField()),
            ],
            options={"abstract": False, "base_manager_name": "objects"},
        ),
        RowSecurity("pulse_agentbootfloor", RowClass.INTERNAL),
    ]
