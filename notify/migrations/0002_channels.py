from django.db import migrations, models

import qcloud.kernel.ids
import vaultsvc.fields
from qcloud.kernel.rls import RowClass, RowSecurity


class Migration(migrations.Migration):
    dependencies = [
        ("notify", "0001_deliveries"),
    ]

    operations = [
        migrations.CreateModel(
            name="Channel",
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
                ("name", models.CharField(max_length=100)),
                ("target", vaultsvc.fields.EncryptedField()),
                ("shown", models.CharField(max_length=254)),
                ("secret", vaultsvc.fields.EncryptedField(null=True)),
                ("old_secret", vaultsvc.fields.EncryptedField(null=True)),
                ("old_secret_until", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("created_by", models.CharField(max_length=254)),
            ],
            options={
                "ordering": ("name", "id"),
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account_id", "name"), name="notify_channel_name_once"
                    )
                ],
            },
        ),
        RowSecurity("notify_channel", RowClass.OWN),
    ]
