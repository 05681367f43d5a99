"""Model fields for secrets: sealed at save, opened only where somebody asks for it.

``key = EncryptedField()`` is a ``bytea`` column. Assign text, bytes or a ``Secret``; read an
opaque ``Sealed`` whose ``reveal()`` opens it. Neither shows itself in ``repr``, logs, JSON or
pickles. The value is bound to account, table, column, row and schema version.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn, Self
from uuid import UUID

from django.core.exceptions import FieldError
from django.db import models

from qcloud.kernel.sealing import Place, sealer


class _Opaque:
    """Shows nothing of itself, anywhere."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()}>"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled; reveal() it where it is used")

    def __deepcopy__(self, _memo: object) -> Self:
        return self


class Secret(_Opaque):
    """A plaintext on its way into a sealed column."""

    __slots__ = ("_plaintext",)

    def __init__(self, plaintext: str | bytes) -> None:
        self._plaintext: Final = plaintext.encode() if isinstance(plaintext, str) else plaintext

    def reveal(self) -> str:
        return self._plaintext.decode()

    def reveal_bytes(self) -> bytes:
        return self._plaintext


class Sealed(_Opaque):
    """A sealed value of one row."""

    __slots__ = ("_place", "_raw")

    def __init__(self, raw: bytes, place: Place) -> None:
        self._raw: Final = raw
        self._place: Final = place

    def raw_for(self, place: Place) -> bytes:
        """What the column of that row holds. Raises ``TypeError`` for another row's place."""
        if place != self._place:
            raise TypeError(
                f"a value sealed for {self._place.table}.{self._place.column} of one row must be"
                " revealed and assigned to another"
            )
        return self._raw

    def reveal(self) -> str:
        """Raises ``SealBroken``, ``KeyShredded``, ``SealerUnavailable``."""
        return self.reveal_bytes().decode()

    def reveal_bytes(self) -> bytes:
        """As ``reveal``."""
        return sealer().unseal(self._raw, self._place)


class SealedBytes(bytes):
    """What the column holds. From ``values()`` it comes as it is: without its row it cannot
    be opened.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "<sealedbytes>"

    __str__ = __repr__


class _Attribute:
    """The model's attribute: takes plaintext, gives out what is opaque."""

    def __init__(self, field: EncryptedField) -> None:
        self.field = field

    def __get__(self, instance: models.Model | None, _owner: type | None = None) -> Any:
        if instance is None:
            return self
        if self.field.attname not in instance.__dict__:
            instance.refresh_from_db(fields=[self.field.attname])  # it was deferred
        value = instance.__dict__[self.field.attname]
        if isinstance(value, SealedBytes):
            return Sealed(value, self.field.place(instance))
        return value

    def __set__(self, instance: models.Model, value: object) -> None:
        instance.__dict__[self.field.attname] = self._taken(instance, value)

    def _taken(self, instance: models.Model, value: object) -> object:
        if value is None or isinstance(value, Secret | SealedBytes):
            return value
        if isinstance(value, str | bytes):
            return Secret(value)
        if isinstance(value, Sealed):  # as refresh_from_db() copies it
            return value.raw_for(self.field.place(instance))
        raise TypeError(
            f"{self.field.model.__name__}.{self.field.name} takes text, bytes or a Secret"
        )


class EncryptedField(models.BinaryField):  # type: ignore[type-arg]
    """A sealed column. ``owner`` says whose key: the attribute that holds the account's id,
    or a fixed one (``PLATFORM``). ``queryset.update()`` and ``bulk_update()`` are refused,
    because they do not tell the row; ``bulk_create()`` works. Only ``isnull`` can be asked.
    """

    def __init__(
        self, *args: Any, owner: str | UUID = "account_id", schema_version: int = 1, **kwargs: Any
    ) -> None:
        self.owner = owner
        self.schema_version = schema_version
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        if self.owner != "account_id":
            kwargs["owner"] = self.owner
        if self.schema_version != 1:
            kwargs["schema_version"] = self.schema_version
        return name, path, args, kwargs

    def contribute_to_class(self, cls: Any, name: str, *args: Any, **kwargs: Any) -> None:
        super().contribute_to_class(cls, name, *args, **kwargs)
        setattr(cls, self.attname, _Attribute(self))

    def owner_of(self, instance: models.Model) -> UUID:
        """Whose key seals the instance's value. Raises ``ValueError`` when it is not set yet."""
        owner = self.owner if isinstance(self.owner, UUID) else getattr(instance, self.owner, None)
        if owner is None:
            raise ValueError(f"{self.model.__name__}.{self.owner} must be set before sealing")
        return owner if isinstance(owner, UUID) else UUID(str(owner))

    def place(self, instance: models.Model) -> Place:
        return self.place_of(self.owner_of(instance), instance.pk)

    def place_of(self, owner: UUID, row: object) -> Place:
        """Where this column's value of a row lives."""
        if row is None:
            raise ValueError(f"{self.model.__name__} must have its key before sealing")
        return Place(
            owner, self.model._meta.db_table, str(self.column), str(row), self.schema_version
        )

    def from_db_value(self, value: Any, *_context: object) -> SealedBytes | None:
        return None if value is None else SealedBytes(value)

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:  # noqa: FBT001  Django's
        value = model_instance.__dict__.get(self.attname)
        if isinstance(value, Secret):
            self._index(model_instance, value)
            value = SealedBytes(sealer().seal(value.reveal_bytes(), self.place(model_instance)))
            model_instance.__dict__[self.attname] = value
        elif add and value is not None:
            raise TypeError(f"{self.name} of a copied row must be revealed and assigned anew")
        return value

    def _index(self, instance: models.Model, value: Secret) -> None:
        for field in self.model._meta.concrete_fields:
            if isinstance(field, BlindIndexField) and field.source == self.name:
                index = field.of(self.owner_of(instance), value.reveal_bytes())
                setattr(instance, field.attname, index)

    def get_prep_value(self, value: Any) -> Any:
        if value is None or isinstance(value, SealedBytes):
            return value
        raise TypeError(
            f"{self.model.__name__}.{self.name} cannot be set by update() or bulk_update(): they do"
            " not tell the row that it is sealed for; load the object, assign and save()"
        )

    def get_lookup(self, lookup_name: str) -> Any:
        if lookup_name != "isnull":
            raise FieldError(
                f"{self.model.__name__}.{self.name} is sealed: a row cannot be found by it; use a"
                " BlindIndexField"
            )
        return super().get_lookup(lookup_name)

    def value_to_string(self, obj: models.Model) -> str:
        raise TypeError(f"{obj.__class__.__name__}.{self.name} is sealed; it is not serialized")


class BlindIndexField(models.BinaryField):  # type: ignore[type-arg]
    """32 bytes that are equal for equal plaintexts of one account's sealed column.

    It tells which of an account's rows hold the same value, so it is for the few sealed
    values that must be found. Filled when ``source`` is saved; with ``update_fields`` name
    both.
    """

    def __init__(self, *args: Any, source: str = "", **kwargs: Any) -> None:
        self.source = source
        kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, {**kwargs, "source": self.source}

    def of(self, owner: UUID, plaintext: str | bytes) -> bytes:
        """What to filter by: ``filter(account_id=…, email_index=field.of(account_id, email))``."""
        raw = plaintext.encode() if isinstance(plaintext, str) else plaintext
        field = self.model._meta.get_field(self.source)
        assert isinstance(field, EncryptedField)  # noqa: S101  a defect of the model
        return sealer().blind_index(raw, field.place_of(owner, ""))

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:  # noqa: FBT001  Django's
        pending = model_instance.__dict__.get(self.source, self)  # itself: the source is deferred
        if isinstance(pending, Secret):
            field = self.model._meta.get_field(self.source)
            assert isinstance(field, EncryptedField)  # noqa: S101  a defect of the model
            index = self.of(field.owner_of(model_instance), pending.reveal_bytes())
            setattr(model_instance, self.attname, index)
        elif pending is None:
            setattr(model_instance, self.attname, None)
        return super().pre_save(model_instance, add)
