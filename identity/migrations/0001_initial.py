"""Accounts, people, memberships and browser sessions."""

from __future__ import annotations

from typing import ClassVar

import django.db.models.deletion
import django.db.models.functions.text
from django.db import migrations, models

import qcloud.kernel.ids
import qcloud.kernel.scope
from qcloud.kernel.rls import RowClass, RowSecurity

# A path is the parent's path, the account's own id in hexadecimal, and a slash.
_TREE = """
ALTER TABLE identity_account ADD CONSTRAINT identity_account_path_ends_with_id CHECK (
    right(account_path, 33) = replace(id::text, '-', '') || '/'
);
ALTER TABLE identity_account ADD CONSTRAINT identity_account_path_follows_parent CHECK (
    CASE WHEN parent_id IS NULL THEN length(account_path) = 34 AND tier = 'cloud'
    ELSE right(left(account_path, -33), 33) = replace(parent_id::text, '-', '') || '/'
        AND tier IN ('reseller', 'customer') END
);
ALTER TABLE identity_membership ADD CONSTRAINT identity_membership_account_fk
    FOREIGN KEY (account_id) REFERENCES identity_account (id);
"""


class Migration(migrations.Migration):
    initial = True
    dependencies: ClassVar = [("kernel", "0001_row_security")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="Session",
            fields=[
                ("session_data", models.TextField(verbose_name="session data")),
                ("expire_date", models.DateTimeField(db_index=True, verbose_name="expire date")),
                ("session_key", models.CharField(max_length=64, primary_key=True, serialize=False)),
            ],
            options={
                "verbose_name": "session",
                "verbose_name_plural": "sessions",
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="User",
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
                ("password", models.CharField(max_length=128, verbose_name="password")),
                (
                    "last_login",
                    models.DateTimeField(blank=True, null=True, verbose_name="last login"),
                ),
                ("email", models.CharField(max_length=254)),
                ("name", models.CharField(max_length=100)),
                ("is_active", models.BooleanField(default=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        django.db.models.functions.text.Lower("email"), name="identity_user_email"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Account",
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
                (
                    "tier",
                    models.CharField(
                        choices=[
                            ("cloud", "cloud"),
                            ("reseller", "reseller"),
                            ("customer", "customer"),
                        ],
                        max_length=8,
                    ),
                ),
                ("slug", models.CharField(max_length=40, unique=True)),
                ("name", models.CharField(max_length=100)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("active", "Active"),
                            ("suspended", "Suspended"),
                            ("closing", "Closing"),
                        ],
                        default="active",
                        max_length=9,
                    ),
                ),
                ("currency", models.CharField(max_length=3)),
                ("timezone", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "parent",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="identity.account",
                    ),
                ),
            ],
            options={
                "ordering": ("account_path",),
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [models.Index(fields=["account_path"], name="identity_account_path")],
                "constraints": [
                    models.UniqueConstraint(
                        models.F("tier"),
                        condition=models.Q(("tier", qcloud.kernel.scope.Tier["CLOUD"])),
                        name="identity_account_one_cloud",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("account_id", models.F("id"))),
                        name="identity_account_own_id",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Membership",
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
                    "role",
                    models.CharField(
                        choices=[
                            ("owner", "owner"),
                            ("admin", "admin"),
                            ("editor", "editor"),
                            ("viewer", "viewer"),
                            ("billing", "billing"),
                            ("support", "support"),
                        ],
                        max_length=16,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="identity.user",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account_id", "user"), name="identity_membership_once"
                    )
                ],
            },
        ),
        migrations.RunSQL(_TREE, migrations.RunSQL.noop),
        # Whoever is on top of an account writes it; nobody writes their own row, so a
        # suspended account does not resume itself and no account changes its place.
        RowSecurity(
            "identity_account",
            RowClass.SUBTREE,
            read="starts_with(account_path, qcloud_path())",
            write="starts_with(account_path, qcloud_path()) AND account_path <> qcloud_path()",
        ),
        RowSecurity("identity_membership", RowClass.OWN),
        # The memberships that count are those that the scope itself may see.
        RowSecurity(
            "identity_user",
            RowClass.INTERNAL,
            read="EXISTS (SELECT FROM identity_membership m WHERE m.user_id = identity_user.id)",
            write="false",
        ),
        RowSecurity("identity_session", RowClass.INTERNAL),
    ]
