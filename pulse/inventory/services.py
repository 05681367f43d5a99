"""What people say of third parties. Each function checks, changes and audits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from audit.services import record
from identity.selectors import staff
from pulse.tables.vendors import Review, Vendor, VendorSighting
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound
from qcloud.kernel.permissions import Actor, Permission, require, require_whole_account
from qcloud.kernel.scope import Scope, scoped

LONGEST_NOTE: Final = 2_000


@dataclass(frozen=True)
class Verdict:
    """What somebody says of a third party."""

    review: str
    owner_id: UUID | None = None
    note: str = ""


def vendor_review(*, actor: Actor, vendor_id: UUID, verdict: Verdict) -> None:
    """Approve it or not, say who answers for it, and keep a note.

    Raises ``Denied``, ``NotFound``, ``Invalid`` (not a member of this account, note too long).
    """
    scope = _whole_account(actor)
    wrong: dict[str, str] = {}
    if verdict.review not in Review.values:
        wrong["review"] = "Choose one of the list."
    if len(verdict.note) > LONGEST_NOTE or "\0" in verdict.note:
        wrong["note"] = f"At most {LONGEST_NOTE:,} characters of text."
    with scoped(scope):
        row = _locked(vendor_id)
        people = {person.user_id: person.email for person in staff(scope)}
        if row.owner_id:
            # Who has left stays until another takes over.
            people.setdefault(row.owner_id, row.owner)
        if verdict.owner_id is not None and verdict.owner_id not in people:
            wrong["owner_id"] = "Choose somebody from the list."
        if wrong:
            raise Invalid("The third party stays as it was.", fields=wrong)
        before = _state(row)
        row.review, row.note = verdict.review, verdict.note.strip()
        row.owner_id = verdict.owner_id
        row.owner = people[verdict.owner_id] if verdict.owner_id else ""
        _save(actor, row, before, "pulse.vendor.reviewed", previous=before)


def vendor_review_undo(*, actor: Actor, vendor_id: UUID) -> None:
    """Take the last change back. Raises ``Denied``, ``NotFound``, ``Conflict`` (nothing to take
    back).
    """
    with scoped(_whole_account(actor)):
        row = _locked(vendor_id)
        if row.previous is None:
            raise Conflict("Nothing was changed here, or it was taken back already.")
        before = _state(row)
        kept: dict[str, Any] = row.previous
        row.review, row.note, row.owner = kept["review"], kept["note"], kept["owner"]
        row.owner_id = UUID(kept["owner_id"]) if kept["owner_id"] else None
        _save(actor, row, before, "pulse.vendor.review_undone", previous=None)


def _whole_account(actor: Actor) -> Scope:
    require(actor, Permission.PULSE_VENDOR_WRITE)
    if actor.scope is None:
        raise Denied("Choose the account that you act for.")
    require_whole_account(actor, "review third parties, which holds for the whole account")
    return actor.scope


def _locked(vendor_id: UUID) -> Vendor:
    row: Vendor | None = Vendor.objects.select_for_update().filter(id=vendor_id).first()
    if row is None or not VendorSighting.objects.filter(vendor_id=vendor_id).exists():
        raise NotFound("There is no such third party in this account.")
    return row


def _state(row: Vendor) -> dict[str, Any]:
    owner = str(row.owner_id) if row.owner_id else ""
    return {"review": row.review, "owner_id": owner, "owner": row.owner, "note": row.note}


def _save(
    actor: Actor,
    row: Vendor,
    before: dict[str, Any],
    action: str,
    *,
    previous: dict[str, Any] | None,
) -> None:
    after = _state(row)
    if after == before:
        return
    row.previous = previous
    row.reviewed_at, row.reviewed_by = now(), actor.label
    row.save()
    changed = [name for name in ("review", "owner", "note") if after[name] != before[name]]
    record(
        actor=actor,
        action=action,
        object_kind="vendor",
        object_id=row.id,
        # A note may be long and personal; that it changed is what the journal keeps.
        data={
            "vendor": row.name[:200],
            "changed": changed,
            "from": before["review"],
            "to": after["review"],
            "owner": row.owner,
        },
    )
