"""Base classes of every table, one for each class of row, and the kernel's own tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Self
from uuid import UUID

from django.db import models

from qcloud.kernel.ids import new_id
from qcloud.kernel.rls import RowClass
from qcloud.kernel.scope import require_any_scope


class TenantQuerySet(models.QuerySet[Any]):
    """Raises when it meets the database and no scope is open.

    A queryset is lazy: it may have been built inside a scope that is closed by now. Every
    way to the rows is checked; the row-level policies stand behind it in any case.
    """

    def _fetch_all(self) -> None:
        require_any_scope()
        super()._fetch_all()

    def iterator(self, chunk_size: int | None = None) -> Iterator[Any]:
        require_any_scope()
        return super().iterator(chunk_size)

    def count(self) -> int:
        require_any_scope()
        return super().count()

    def exists(self) -> bool:
        require_any_scope()
        return super().exists()

    def aggregate(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        require_any_scope()
        return super().aggregate(*args, **kwargs)

    def update(self, **kwargs: Any) -> int:
        require_any_scope()
        return super().update(**kwargs)

    def delete(self) -> tuple[int, dict[str, int]]:
        require_any_scope()
        return super().delete()


class TenantManager(models.Manager.from_queryset(TenantQuerySet)):  # type: ignore[misc]
    """Queries only inside ``scoped()`` or ``unscoped()``: forgetting raises, it never leaks."""

    def get_queryset(self) -> TenantQuerySet:
        require_any_scope()
        return super().get_queryset()  # type: ignore[no-any-return]


class _Row(models.Model):
    row_class: ClassVar[RowClass]

    id: models.UUIDField[UUID, UUID] = models.UUIDField(
        primary_key=True, default=new_id, editable=False
    )

    objects: ClassVar[TenantManager] = TenantManager()

    class Meta:
        abstract = True
        base_manager_name = "objects"

    def save(self, *args: Any, **kwargs: Any) -> None:
        require_any_scope()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        require_any_scope()
        return super().delete(*args, **kwargs)


class TenantModel(_Row):
    """One account's rows, nobody else's. Unique constraints begin with ``account_id``."""

    row_class = RowClass.OWN

    account_id: models.UUIDField[UUID, UUID] = models.UUIDField(db_index=True)

    class Meta(_Row.Meta):
        abstract = True


class SubtreeModel(_Row):
    """Rows of one account that the accounts above it may see as well."""

    row_class = RowClass.SUBTREE

    account_id: models.UUIDField[UUID, UUID] = models.UUIDField(db_index=True)
    account_path: models.TextField[str, str] = models.TextField()

    class Meta(_Row.Meta):
        abstract = True


class PartyPairModel(_Row):
    """Rows between two accounts: both read, the seller writes."""

    row_class = RowClass.PARTY_PAIR

    seller_id: models.UUIDField[UUID, UUID] = models.UUIDField(db_index=True)
    buyer_id: models.UUIDField[UUID, UUID] = models.UUIDField(db_index=True)

    class Meta(_Row.Meta):
        abstract = True


class InternalModel(_Row):
    """Rows of the platform itself, seen in system mode alone."""

    row_class = RowClass.INTERNAL

    class Meta(_Row.Meta):
        abstract = True


class OutboxMessage(InternalModel):
    """Something a lower room tells higher ones, written in its own transaction."""

    transaction_id = models.BigIntegerField(
        db_default=models.Func(function="qcloud_transaction_id"), editable=False
    )
    position = models.BigIntegerField(
        db_default=models.Func(function="qcloud_outbox_position"), editable=False
    )
    topic = models.CharField(max_length=100)
    account_id = models.UUIDField(null=True)
    payload = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(InternalModel.Meta):
        db_table = "kernel_outbox"
        ordering = ("transaction_id", "position")
        indexes = (models.Index("transaction_id", "position", name="kernel_outbox_order"),)

    def __str__(self) -> str:
        return f"{self.topic} #{self.position}"


class OutboxCursor(InternalModel):
    """How far one consumer has read."""

    consumer = models.CharField(max_length=100, unique=True)
    transaction_id = models.BigIntegerField(default=0)
    position = models.BigIntegerField(default=0)

    class Meta(InternalModel.Meta):
        db_table = "kernel_outbox_cursor"

    def __str__(self) -> str:
        return f"{self.consumer} at {self.position}"

    @classmethod
    def locked(cls, consumer: str) -> Self:
        """The consumer's cursor, locked until the transaction ends; made at first use."""
        cls.objects.get_or_create(consumer=consumer)
        cursor: Self = cls.objects.select_for_update().get(consumer=consumer)
        return cursor


class SettingRow(InternalModel):
    """A setting that a cloud administrator gave another value than the default.

    ``qcloud.kernel.settings`` reads and writes it.
    """

    key = models.CharField(max_length=100, unique=True)
    text = models.TextField(blank=True)
    sealed = models.BinaryField(default=b"")
    """Of a secret, in place of ``text``."""
    set_by = models.CharField(max_length=254)
    set_by_id = models.UUIDField(null=True)
    set_at = models.DateTimeField()

    class Meta(InternalModel.Meta):
        db_table = "kernel_setting"

    def __str__(self) -> str:
        return self.key
