"""The ledger of batches, loads, hours to count again, and usage."""

from __future__ import annotations

from typing import ClassVar

import psycopg.types.multirange
from django.db import migrations, models

import pulse.models
import qcloud.kernel.ids
from qcloud.kernel.rls import RowClass, RowSecurity


class Migration(migrations.Migration):
    initial = True

    dependencies: ClassVar = [("kernel", "0001_row_security")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="TouchedHour",
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
                ("environment_id", models.UUIDField()),
                ("hour", models.DateTimeField()),
            ],
            options={
                "ordering": ("id",),
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="AgentBootLedger",
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
                ("agent_id", models.UUIDField()),
                ("boot_id", models.UUIDField()),
                (
                    "sequences",
                    pulse.models.SequencesField(default=psycopg.types.multirange.Int8Multirange),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("agent_id", "boot_id"), name="pulse_ledger_boot_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Load",
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
                (
                    "state",
                    models.CharField(
                        choices=[("pending", "Pending"), ("done", "Done"), ("lost", "Lost")],
                        default="pending",
                        max_length=8,
                    ),
                ),
                ("segments", models.JSONField()),
                ("frames", models.JSONField()),
                ("rows", models.BigIntegerField()),
                ("duplicates", models.IntegerField(default=0)),
                ("damaged", models.IntegerField(default=0)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("finished_at", models.DateTimeField(null=True)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(models.F("spool_id"), models.F("state"), name="pulse_load_state")
                ],
            },
        ),
        migrations.CreateModel(
            name="UsageHour",
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
                ("environment_id", models.UUIDField()),
                ("hour", models.DateTimeField()),
                ("requests", models.BigIntegerField()),
                ("requests_ingress", models.BigIntegerField()),
                ("requests_egress_internal", models.BigIntegerField()),
                ("requests_egress_external", models.BigIntegerField()),
                ("bytes_sent", models.DecimalField(decimal_places=0, max_digits=30)),
                ("bytes_received", models.DecimalField(decimal_places=0, max_digits=30)),
                ("counted_at", models.DateTimeField()),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [models.Index(models.F("hour"), name="pulse_usage_hour")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account_id", "environment_id", "hour"),
                        name="pulse_usage_hour_once",
                    )
                ],
            },
        ),
        RowSecurity("pulse_agentbootledger", RowClass.INTERNAL),
        RowSecurity("pulse_load", RowClass.INTERNAL),
        RowSecurity("pulse_touchedhour", RowClass.INTERNAL),
        RowSecurity("pulse_usagehour", RowClass.SUBTREE),
    ]
