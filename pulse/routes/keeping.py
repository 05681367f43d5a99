"""Trees and templates in PostgreSQL. In the caller's transaction and scope."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from pulse.routes.patterns import LONGEST, Patterns
from pulse.routes.shapes import NAME, fixed
from pulse.routes.tree import Tree
from pulse.tables.routes import Origin, PathHost, PathTemplate

log = structlog.get_logger(__name__)

UNSEEN: Final = timedelta(days=30)
"""A host makes room for another when it was not seen for so long."""
AGING: Final = timedelta(days=1)
PLATFORM: Final = "QCloud"


def hosts_of(account_ids: Collection[UUID]) -> dict[UUID, set[str]]:
    """The names of all hosts that are kept, by account."""
    found: dict[UUID, set[str]] = {account_id: set() for account_id in account_ids}
    rows = PathHost.objects.filter(account_id__in=account_ids)
    for account_id, host in rows.values_list("account_id", "host"):
        found[account_id].add(host)
    return found


def make_room(account_id: UUID, moment: datetime) -> None:
    """Remove hosts that were not seen for long and for which nobody typed a template."""
    own = PathHost.objects.filter(account_id=account_id)
    by_hand = PathTemplate.objects.filter(account_id=account_id, origin=Origin.HAND)
    own.filter(seen_at__lt=moment - UNSEEN).exclude(id__in=by_hand.values("path_host")).delete()


def kept_host(account_id: UUID, host: str, moment: datetime) -> PathHost:
    """The host's row, locked; made where it lacks."""
    PathHost.objects.bulk_create(
        [PathHost(account_id=account_id, host=host, salt=secrets.token_bytes(16), seen_at=moment)],
        ignore_conflicts=True,
    )
    row: PathHost = PathHost.objects.select_for_update().get(account_id=account_id, host=host)
    return row


def learn_into(row: PathHost, paths: Sequence[tuple[str, int]], moment: datetime) -> Tree:
    """Learn, keep what came of it in the locked row, and return the tree."""
    tree = Tree.load(bytes(row.salt), bytes(row.tree))
    was_full = tree.full
    if was_full and (row.aged_at is None or row.aged_at < moment - AGING):
        tree.age()
        row.aged_at = moment
    learned = tree.learn(paths)
    if learned:
        row.version += 1
        _note(row, tree, learned, moment)
    if tree.full and not was_full:
        row.full_since = moment
        log.warning("paths: no room for more values", account=str(row.account_id), host=row.host)
    elif not tree.full:
        row.full_since = None
    row.tree, row.seen_at = tree.dump(), moment
    row.save()
    return tree


def _note(row: PathHost, tree: Tree, learned: Sequence[tuple[str, ...]], moment: datetime) -> None:
    known = [t for t in learned if len("/".join(t)) <= LONGEST and "/".join(t).isprintable()]
    for template in known:
        _widen(row, tree, template)
    made = [
        PathTemplate(
            account_id=row.account_id,
            path_host=row,
            text=text,
            origin=Origin.LEARNED,
            version=row.version,
            created_at=moment,
            changed_at=moment,
            changed_by=PLATFORM,
        )
        for text in dict.fromkeys(map("/".join, known))
    ]
    PathTemplate.objects.bulk_create(made, ignore_conflicts=True)


def _widen(row: PathHost, tree: Tree, template: tuple[str, ...]) -> None:
    """What was learned below one value of this position holds below all of them."""
    before, place = "/".join(template[:-1]) + "/", len(template) - 1
    rows = PathTemplate.objects.filter(
        path_host=row, origin=Origin.LEARNED, text__startswith=before
    )
    for kept in rows:
        segments = kept.text.split("/")
        own = tuple(segments[: place + 1])
        if len(segments) <= place + 1 or fixed(segments[place]) or tree.keeps(own):
            continue
        text = "/".join([*segments[:place], NAME, *segments[place + 1 :]])
        same = PathTemplate.objects.filter(path_host=row, origin=Origin.LEARNED, text=text)
        if same.exists():
            kept.delete()
        else:
            kept.text = text
            kept.save(update_fields=["text"])


def patterns_of(host_ids: Collection[UUID]) -> dict[UUID, Patterns]:
    """The templates made by hand that are in use, of each host."""
    texts: dict[UUID, list[str]] = {host_id: [] for host_id in host_ids}
    rows = PathTemplate.objects.filter(
        path_host_id__in=host_ids, origin=Origin.HAND, forgotten=False
    )
    for host_id, text in rows.values_list("path_host_id", "text"):
        texts[host_id].append(text)
    return {host_id: Patterns(known) for host_id, known in texts.items()}
