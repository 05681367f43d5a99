"""Archives of what an account has."""

from __future__ import annotations

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

import qcloud.kernel.ids
import vaultsvc.fields
from qcloud.kernel.rls import RowClass, RowSecurity


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("identity", "0008_held_by"),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="Takeout",
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
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("running", "Running"),
                            ("ready", "Ready"),
                            ("failed", "Failed"),
                        ],
                        default="waiting",
                        max_length=8,
                    ),
                ),
                ("asked_at", models.DateTimeField()),
                ("asked_by", models.UUIDField(null=True)),
                ("asked_label", models.CharField(max_length=254)),
                ("link", models.CharField(blank=True, max_length=500)),
                ("attempt", models.SmallIntegerField(default=0)),
                ("claimed_at", models.DateTimeField(null=True)),
                ("part", models.CharField(blank=True, max_length=100)),
                ("done", models.SmallIntegerField(default=0)),
                ("total", models.SmallIntegerField(default=0)),
                ("size", models.BigIntegerField(default=0)),
                ("sha256", models.CharField(blank=True, max_length=64)),
                ("ready_at", models.DateTimeField(null=True)),
                ("expires_at", models.DateTimeField(null=True)),
                ("trouble", models.CharField(blank=True, max_length=500)),
            ],
            options={
                "ordering": ("-id",),
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(
                        condition=models.Q(("state__in", ("waiting", "running"))),
                        fields=["claimed_at"],
                        name="identity_takeout_open",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ("waiting", "running"))),
                        fields=("account_id",),
                        name="identity_takeout_one_at_a_time",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="TakeoutPiece",
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
                ("position", models.IntegerField()),
                ("data", vaultsvc.fields.EncryptedField()),
                (
                    "takeout",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pieces",
                        to="identity.takeout",
                    ),
                ),
            ],
            options={
                "ordering": ("position",),
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account_id", "takeout", "position"),
                        name="identity_takeout_piece_once",
                    )
                ],
            },
        ),
        RowSecurity("identity_takeout", RowClass.OWN),
        RowSecurity("identity_takeoutpiece", RowClass.OWN),
    ]
