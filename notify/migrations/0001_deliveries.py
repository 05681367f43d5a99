from django.db import migrations, models

import qcloud.kernel.ids
import vaultsvc.fields
from qcloud.kernel.rls import RowClass, RowSecurity


class Migration(migrations.Migration):
    initial = True

    dependencies = [("kernel", "0001_row_security")]

    operations = [
        migrations.CreateModel(
            name="Attempt",
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
                ("delivery_id", models.UUIDField(db_index=True)),
                ("number", models.IntegerField()),
                ("at", models.DateTimeField()),
                ("duration_ms", models.IntegerField()),
                ("outcome", models.CharField(max_length=9)),
                ("status", models.IntegerField(default=0)),
                ("answer", models.CharField(blank=True, max_length=500)),
            ],
            options={
                "ordering": ("id",),
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="Delivery",
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
                    "kind",
                    models.CharField(
                        choices=[("mail", "Mail"), ("webhook", "Webhook"), ("slack", "Slack")],
                        max_length=8,
                    ),
                ),
                ("key", models.CharField(max_length=200)),
                ("what", models.CharField(max_length=64)),
                ("to", models.CharField(max_length=254)),
                ("subject", models.CharField(blank=True, max_length=250)),
                ("channel_id", models.UUIDField(null=True)),
                ("payload", vaultsvc.fields.EncryptedField(null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("sending", "Sending"),
                            ("sent", "Sent"),
                            ("failed", "Failed"),
                        ],
                        default="waiting",
                        max_length=8,
                    ),
                ),
                ("attempts", models.IntegerField(default=0)),
                ("next_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
                ("reason", models.CharField(blank=True, max_length=500)),
            ],
            options={
                "ordering": ("-id",),
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(fields=["account_id", "-id"], name="notify_delivery_account"),
                    models.Index(
                        condition=models.Q(("state__in", ("waiting", "sending"))),
                        fields=["next_at"],
                        name="notify_delivery_due",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account_id", "key"), name="notify_delivery_once"
                    )
                ],
            },
        ),
        RowSecurity("notify_attempt", RowClass.OWN),
        RowSecurity("notify_delivery", RowClass.OWN),
    ]
