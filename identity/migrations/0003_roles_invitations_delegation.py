"""Roles that accounts compose, invitations, and “view as”."""

from __future__ import annotations

from typing import ClassVar

import django.db.models.deletion
import django.db.models.functions.text
from django.db import migrations, models

import qcloud.kernel.ids
from qcloud.kernel.rls import RowClass, RowSecurity

# Foreign keys are checked past row-level security. With the account in the key, a row can
# only point at a role of its own account; a role that somebody has cannot go.
_PAIRS = """
ALTER TABLE identity_membership ADD CONSTRAINT identity_membership_role_fk
    FOREIGN KEY (account_id, custom_role_id) REFERENCES identity_role (account_id, id);
ALTER TABLE identity_invitation ADD CONSTRAINT identity_invitation_role_fk
    FOREIGN KEY (account_id, custom_role_id) REFERENCES identity_role (account_id, id);
ALTER TABLE identity_role ADD CONSTRAINT identity_role_account_fk
    FOREIGN KEY (account_id) REFERENCES identity_account (id);
ALTER TABLE identity_invitation ADD CONSTRAINT identity_invitation_account_fk
    FOREIGN KEY (account_id) REFERENCES identity_account (id);
ALTER TABLE identity_delegationgrant ADD CONSTRAINT identity_delegationgrant_account_fk
    FOREIGN KEY (account_id) REFERENCES identity_account (id);
ALTER TABLE identity_delegatedaccess ADD CONSTRAINT identity_delegatedaccess_below CHECK (
    starts_with(account_path, home_path) AND account_path <> home_path
);
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("identity", "0002_sign_in")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="DelegationGrant",
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
                ("grantee_id", models.UUIDField()),
                ("grantee_name", models.CharField(max_length=100)),
                ("permissions", models.JSONField(default=list)),
                ("reason", models.CharField(blank=True, max_length=500)),
                ("granted_by", models.CharField(max_length=254)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("ends_at", models.DateTimeField()),
                ("revoked_at", models.DateTimeField(null=True)),
                ("revoked_by", models.CharField(blank=True, max_length=254)),
            ],
            options={
                "ordering": ("-id",),
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.AddField(
            model_name="membership",
            name="environments",
            field=models.JSONField(null=True),
        ),
        migrations.AlterField(
            model_name="membership",
            name="role",
            field=models.CharField(
                blank=True,
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
        migrations.CreateModel(
            name="DelegatedAccess",
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
                ("user_id", models.UUIDField()),
                ("user_label", models.CharField(max_length=254)),
                ("home_id", models.UUIDField()),
                ("home_path", models.TextField()),
                ("home_name", models.CharField(max_length=100)),
                ("reason", models.CharField(max_length=500)),
                ("ticket", models.CharField(max_length=100)),
                ("started_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("ended_by", models.CharField(blank=True, max_length=254)),
            ],
            options={
                "ordering": ("-id",),
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(fields=["account_id", "-id"], name="identity_delegated_account"),
                    models.Index(
                        fields=["user_id", "account_id"], name="identity_delegated_person"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Role",
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
                ("name", models.CharField(max_length=60)),
                ("description", models.CharField(blank=True, max_length=300)),
                ("permissions", models.JSONField(default=list)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        models.F("account_id"),
                        django.db.models.functions.text.Lower("name"),
                        name="identity_role_name_once",
                    ),
                    models.UniqueConstraint(fields=("account_id", "id"), name="identity_role_pair"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Invitation",
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
                        blank=True,
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
                ("environments", models.JSONField(null=True)),
                ("email", models.CharField(max_length=254)),
                ("name", models.CharField(blank=True, max_length=100)),
                ("token_hash", models.CharField(max_length=64, unique=True)),
                ("invited_by", models.UUIDField(null=True)),
                ("invited_by_label", models.CharField(max_length=254)),
                ("inviter_account_id", models.UUIDField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("sent_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("accepted_at", models.DateTimeField(null=True)),
                ("accepted_by", models.UUIDField(null=True)),
                ("revoked_at", models.DateTimeField(null=True)),
                (
                    "custom_role",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="identity.role",
                    ),
                ),
            ],
            options={
                "ordering": ("-id",),
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.AddField(
            model_name="membership",
            name="custom_role",
            field=models.ForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="identity.role",
            ),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("custom_role__isnull", False), ("role", "")),
                    models.Q(models.Q(("role", ""), _negated=True), ("custom_role__isnull", True)),
                    _connector="OR",
                ),
                name="identity_membership_one_role",
            ),
        ),
        migrations.AddConstraint(
            model_name="invitation",
            constraint=models.UniqueConstraint(
                condition=models.Q(("accepted_at", None), ("revoked_at", None)),
                fields=("account_id", "email"),
                name="identity_invitation_open_once",
            ),
        ),
        migrations.RunSQL(_PAIRS, migrations.RunSQL.noop),
        RowSecurity("identity_role", RowClass.OWN),
        RowSecurity("identity_invitation", RowClass.OWN),
        RowSecurity("identity_delegationgrant", RowClass.OWN),
        RowSecurity("identity_delegatedaccess", RowClass.SUBTREE),
    ]
