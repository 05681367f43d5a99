"""Wrapped data keys, shredded owners, runs of rewrapping: the platform's own rows."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models

import qcloud.kernel.ids
from qcloud.kernel.rls import RowClass, RowSecurity


class Migration(migrations.Migration):
    initial = True
    dependencies: ClassVar = [("kernel", "0001_row_security")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="ShreddedOwner",
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
                ("owner", models.UUIDField(unique=True)),
                ("slug", models.CharField(max_length=40)),
                ("shredded_at", models.DateTimeField(auto_now_add=True)),
                ("shredded_by", models.CharField(max_length=254)),
            ],
            options={
                "ordering": ("-shredded_at",),
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="DataKey",
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
                ("owner", models.UUIDField()),
                (
                    "purpose",
                    models.CharField(choices=[("seal", "Seal"), ("index", "Index")], max_length=8),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("active", "Active"),
                            ("superseded", "Superseded"),
                            ("destroyed", "Destroyed"),
                        ],
                        default="active",
                        max_length=12,
                    ),
                ),
                ("wrapped", models.BinaryField()),
                ("key_version", models.IntegerField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("superseded_at", models.DateTimeField(null=True)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [models.Index(fields=["owner", "state"], name="vaultsvc_datakey_owner")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "active")),
                        fields=("owner", "purpose"),
                        name="vaultsvc_datakey_one_active",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Run",
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
                ("owner", models.UUIDField(null=True)),
                ("started_at", models.DateTimeField(auto_now_add=True)),
                ("started_by", models.CharField(max_length=254)),
                ("finished_at", models.DateTimeField(null=True)),
                ("total", models.BigIntegerField(default=0)),
                ("done", models.BigIntegerField(default=0)),
                ("resealed", models.BigIntegerField(default=0)),
                ("broken", models.BigIntegerField(default=0)),
                ("column", models.CharField(blank=True, max_length=130)),
                ("cursor", models.TextField(blank=True)),
            ],
            options={
                "ordering": ("-id",),
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("finished_at",),
                        condition=models.Q(("finished_at", None)),
                        name="vaultsvc_run_one_going",
                        nulls_distinct=False,
                    )
                ],
            },
        ),
        RowSecurity("vaultsvc_datakey", RowClass.INTERNAL),
        RowSecurity("vaultsvc_shreddedowner", RowClass.INTERNAL),
        RowSecurity("vaultsvc_run", RowClass.INTERNAL),
    ]
