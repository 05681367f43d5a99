"""Environments, registration tokens, agents and object stores."""

from __future__ import annotations

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

import qcloud.kernel.ids
from qcloud.kernel.rls import RowClass, RowSecurity

# Foreign keys are checked past row-level security. With the account in the key, a row can
# only point at a row of its own account.
_PAIRS = """
ALTER TABLE fleet_registrationtoken ADD CONSTRAINT fleet_registrationtoken_environment_fk
    FOREIGN KEY (account_id, environment_id) REFERENCES fleet_environment (account_id, id);
ALTER TABLE fleet_agent ADD CONSTRAINT fleet_agent_environment_fk
    FOREIGN KEY (account_id, environment_id) REFERENCES fleet_environment (account_id, id);
ALTER TABLE fleet_agent ADD CONSTRAINT fleet_agent_registrationtoken_fk
    FOREIGN KEY (account_id, registration_token_id)
    REFERENCES fleet_registrationtoken (account_id, id);
ALTER TABLE fleet_objectstore ADD CONSTRAINT fleet_objectstore_environment_fk
    FOREIGN KEY (account_id, environment_id) REFERENCES fleet_environment (account_id, id);
"""


class Migration(migrations.Migration):
    initial = True
    dependencies: ClassVar = [("kernel", "0001_row_security")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="Environment",
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
                ("slug", models.CharField(max_length=40)),
                ("name", models.CharField(max_length=100)),
                (
                    "capture_level",
                    models.CharField(
                        choices=[
                            ("none", "None"),
                            ("summary", "Summary"),
                            ("headers", "Headers"),
                            ("full", "Full"),
                        ],
                        default="full",
                        max_length=8,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("closed_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ("name",),
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account_id", "slug"), name="fleet_environment_slug_once"
                    ),
                    models.UniqueConstraint(
                        fields=("account_id", "id"), name="fleet_environment_pair"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RegistrationToken",
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
                ("name", models.CharField(max_length=100)),
                ("token_hash", models.CharField(max_length=64, unique=True)),
                ("last_four", models.CharField(max_length=4)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("created_by", models.CharField(max_length=254)),
                ("revoked_at", models.DateTimeField(null=True)),
                ("last_used_at", models.DateTimeField(null=True)),
                (
                    "environment",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="fleet.environment",
                    ),
                ),
            ],
            options={
                "ordering": ("-id",),
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="Agent",
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
                ("instance_id", models.UUIDField()),
                ("name", models.CharField(max_length=100)),
                ("token_hash", models.CharField(max_length=64, unique=True)),
                ("version", models.CharField(blank=True, max_length=64)),
                ("system", models.JSONField(default=dict)),
                ("replaying", models.BooleanField(default=False)),
                ("registered_at", models.DateTimeField()),
                ("removed_at", models.DateTimeField(null=True)),
                ("last_heartbeat_at", models.DateTimeField(null=True)),
                ("boot_id", models.UUIDField(null=True)),
                ("status", models.CharField(blank=True, max_length=32)),
                ("object_store", models.CharField(blank=True, max_length=32)),
                ("uptime_seconds", models.FloatField(default=0)),
                ("exchanges", models.BigIntegerField(default=0)),
                ("dropped", models.JSONField(default=dict)),
                ("spool_bytes", models.BigIntegerField(default=0)),
                ("spool_limit_bytes", models.BigIntegerField(default=0)),
                ("memory_bytes", models.BigIntegerField(default=0)),
                ("clock_offset_ms", models.FloatField(default=0)),
                ("probes", models.JSONField(default=list)),
                ("config_digest", models.CharField(blank=True, max_length=64)),
                (
                    "environment",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="fleet.environment",
                    ),
                ),
                (
                    "registration_token",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="fleet.registrationtoken",
                    ),
                ),
            ],
            options={
                "ordering": ("name", "id"),
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="ObjectStore",
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
                ("type", models.CharField(choices=[("directory", "Directory")], max_length=16)),
                ("path", models.TextField()),
                ("access_url", models.TextField(blank=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "environment",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="fleet.environment",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account_id", "environment"), name="fleet_objectstore_once"
                    )
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="registrationtoken",
            constraint=models.UniqueConstraint(
                fields=("account_id", "id"), name="fleet_registrationtoken_pair"
            ),
        ),
        migrations.AddIndex(
            model_name="agent",
            index=models.Index(
                fields=["account_id", "environment"], name="fleet_agent_environment"
            ),
        ),
        migrations.RunSQL(_PAIRS, migrations.RunSQL.noop),
        RowSecurity("fleet_environment", RowClass.OWN),
        RowSecurity("fleet_registrationtoken", RowClass.OWN),
        RowSecurity("fleet_agent", RowClass.OWN),
        RowSecurity("fleet_objectstore", RowClass.OWN),
    ]
