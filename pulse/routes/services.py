"""What people do with templates of paths. Each function checks, changes and audits.

Loaders see a change with their next load. Rows keep the template that they were loaded with.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from audit.services import record
from pulse.routes.book import MOST_HOSTS, host_of
from pulse.routes.keeping import kept_host
from pulse.routes.patterns import checked
from pulse.routes.selectors import TemplateInfo, template_info
from pulse.routes.tree import Tree
from pulse.tables.routes import Origin, PathHost, PathTemplate
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound
from qcloud.kernel.permissions import Actor, Permission, require, require_whole_account
from qcloud.kernel.scope import Scope, scoped

MOST_BY_HAND: Final = 200
"""Of one host."""


def template_add(*, actor: Actor, host: str, template: str) -> TemplateInfo:
    """Paths that match ``template`` are counted under it, whatever is learned.

    Raises ``Denied``, ``Invalid``, ``Conflict`` (there already; no room).
    """
    scope = _whole_account(actor)
    text, name = checked(template), host_of(host.strip())
    if not name:
        raise Invalid("Which host?", fields={"host": "A name of at most 255 characters."})
    with scoped(scope):
        row = _room(scope, name)
        own = PathTemplate.objects.filter(path_host=row, origin=Origin.HAND)
        before = own.filter(text=text).first()
        if before and not before.forgotten:
            raise Conflict(f"{text} is there already.")
        if not before and own.count() >= MOST_BY_HAND:
            raise Conflict(f"A host has at most {MOST_BY_HAND} templates made by hand.")
        made = before or PathTemplate(
            account_id=row.account_id, path_host=row, text=text, origin=Origin.HAND,
            created_at=now(),
        )  # fmt: skip
        made.forgotten = False
        _save(actor, row, made, "pulse.path_template.added")
        return template_info(made)


def template_forget(*, actor: Actor, template_id: UUID) -> TemplateInfo:
    """Count by it no more, and do not learn it again. Raises ``Denied``, ``NotFound``,
    ``Conflict`` (forgotten already).
    """
    return _switch(actor, template_id, forgotten=True)


def template_restore(*, actor: Actor, template_id: UUID) -> TemplateInfo:
    """Take ``template_forget`` back. Raises ``Denied``, ``NotFound``, ``Conflict`` (in use)."""
    return _switch(actor, template_id, forgotten=False)


def _switch(actor: Actor, template_id: UUID, *, forgotten: bool) -> TemplateInfo:
    with scoped(_whole_account(actor)):
        found = _one(template_id)
        row = PathHost.objects.select_for_update().get(id=found.path_host_id)
        # Once more under the lock: a loader may have widened it away while we waited.
        found = _one(template_id)
        if found.forgotten == forgotten:
            raise Conflict("It is forgotten already." if forgotten else "It is in use already.")
        found.forgotten = forgotten
        if found.origin == Origin.LEARNED:
            tree = Tree.load(bytes(row.salt), bytes(row.tree))
            segments = tuple(found.text.split("/"))
            (tree.refuse if forgotten else tree.allow)(segments)
            row.tree = tree.dump()
        words = "forgotten" if forgotten else "restored"
        _save(actor, row, found, f"pulse.path_template.{words}")
        return template_info(found)


def _one(template_id: UUID) -> PathTemplate:
    row: PathTemplate | None = PathTemplate.objects.filter(id=template_id).first()
    if row is None:
        raise NotFound("There is no such template in this account.")
    return row


def _room(scope: Scope, name: str) -> PathHost:
    known = PathHost.objects.filter(account_id=scope.account_id)
    if not known.filter(host=name).exists() and known.count() >= MOST_HOSTS:
        raise Conflict(
            f"{MOST_HOSTS} hosts of this account have templates already; there is no room for"
            " another until one was not called for 30 days."
        )
    return kept_host(scope.account_id, name, now())


def _whole_account(actor: Actor) -> Scope:
    require(actor, Permission.PULSE_ROUTE_WRITE)
    if actor.scope is None:
        raise Denied("Choose the account that you act for.")
    require_whole_account(actor, "change templates of paths, which hold for the whole account")
    return actor.scope


def _save(actor: Actor, row: PathHost, template: PathTemplate, action: str) -> None:
    row.version += 1
    row.save()
    template.version, template.changed_at, template.changed_by = row.version, now(), actor.label
    template.save()
    record(
        actor=actor,
        action=action,
        object_kind="path_template",
        object_id=template.id,
        data={
            "host": row.host,
            "template": template.text,
            "origin": str(template.origin),
            "version": row.version,
        },
    )
