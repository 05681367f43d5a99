"""What a loader knows of all hosts' paths: in memory, and shared through PostgreSQL.

A path that is known costs a look into a dictionary. One that is not is learned in a
transaction that locks its host's row, so that loaders learn one after the other and from each
other; what was learned is there after a restart.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final, NamedTuple, cast
from uuid import UUID

import structlog

from pulse.routes.keeping import hosts_of, kept_host, learn_into, make_room, patterns_of
from pulse.routes.patterns import Patterns
from pulse.routes.shapes import REST
from pulse.routes.tree import Tree
from pulse.tables.routes import PathHost
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped

log = structlog.get_logger(__name__)

MOST_HOSTS: Final = 500
"""Of an account; the others share one state."""
MOST_IN_MEMORY: Final = 2_000
"""Hosts of all accounts; of others the state is read again when they come back."""
MOST_PATHS: Final = 200_000
"""Whose templates are remembered, of all hosts."""
LONGEST_PATH: Final = 512
"""What is longer is worked out each time: whoever sends such paths would fill the memory."""
LONGEST_HOST: Final = 255
SEEN: Final = timedelta(days=1)


class Paths(NamedTuple):
    """Distinct paths of one host in one load, answered alike."""

    account_id: UUID
    host: str
    missing: bool
    """They were answered 404."""
    paths: list[str]
    requests: list[int]
    """Of each path."""


Place = tuple[UUID, str]


class _Host:
    """One host's state as it was read."""

    def __init__(self, row: PathHost | None, patterns: Patterns) -> None:
        self.id = row.id if row else None
        self.version = row.version if row else 0
        self.tree = Tree.load(bytes(row.salt), bytes(row.tree)) if row else Tree(b"")
        self.patterns = patterns
        self._known: tuple[dict[str, str], dict[str, str]] = ({}, {})

    def routes(self, group: Paths) -> list[str] | None:
        """The templates of a group; ``None``: one of them should be learned first."""
        found = list(map(self._known[group.missing].get, group.paths))
        if None in found:
            lacking = [index for index, route in enumerate(found) if route is None]
            for index in lacking:
                found[index] = self._route(group.paths[index], missing=group.missing)
                if found[index] is None:
                    return None
        return cast("list[str]", found)

    def _route(self, path: str, *, missing: bool) -> str | None:
        found = self.patterns.match(path) or self.tree.route(path, missing=missing)
        if found is not None and len(path) <= LONGEST_PATH:
            self._known[missing][path] = found
        return found

    def after_learning(self, group: Paths) -> list[str]:
        """Learning may have made room: what found none then is learned with the next load."""
        return [self._route(path, missing=group.missing) or f"/{REST}" for path in group.paths]

    @property
    def remembered(self) -> int:
        return sum(map(len, self._known))

    def forget(self) -> None:
        for known in self._known:
            known.clear()


class RouteBook:
    """One a loader; not for two threads at once."""

    def __init__(self) -> None:
        self._hosts: OrderedDict[Place, _Host] = OrderedDict()
        self._names: dict[UUID, set[str]] = {}

    def routes(self, groups: Sequence[Paths]) -> list[list[str]]:
        """The template of each path. Learns first what is new. Raises a database error."""
        places: dict[Place, list[int]] = {}
        for index, group in enumerate(groups):
            places.setdefault((group.account_id, host_of(group.host)), []).append(index)
        places = self._with_room(places)
        self._refresh(places)
        found: list[list[str]] = [[] for _ in groups]
        unknown: dict[Place, list[int]] = {}
        for place, indices in places.items():
            for index in indices:
                routes = self._hosts[place].routes(groups[index])
                if routes is None:
                    unknown[place] = indices
                    break
                found[index] = routes
        self._learn({place: [groups[i] for i in unknown[place]] for place in sorted(unknown)})
        for place, indices in unknown.items():
            for index in indices:
                found[index] = self._hosts[place].after_learning(groups[index])
        self._forget_some()
        return found

    def _with_room(self, places: dict[Place, list[int]]) -> dict[Place, list[int]]:
        """Hosts for which an account has no room are one, that without a name."""
        new = [place for place in places if place[1] not in self._names.get(place[0], ())]
        if not new:
            return places
        with unscoped("loader: templates of paths"):
            accounts = {account for account, _ in new}
            self._names |= hosts_of(accounts)
            for account in (a for a in accounts if len(self._names[a]) >= MOST_HOSTS):
                make_room(account, now())
                self._names |= hosts_of([account])
        room = {account: MOST_HOSTS - len(self._names[account]) for account in accounts}
        merged: dict[Place, list[int]] = {}
        for place, indices in places.items():
            account, host = place
            if account in room and host not in self._names[account]:
                room[account] -= 1
                host = host if room[account] >= 0 else ""
            merged.setdefault((account, host), []).extend(indices)
        for account in (a for a, left in room.items() if left < 0):
            log.warning("paths: no room for more hosts", account=str(account), most=MOST_HOSTS)
        return merged

    def _refresh(self, places: Mapping[Place, object]) -> None:
        """Read the hosts that this process does not hold in their present version."""
        held = [host.id for p in places if (host := self._hosts.get(p)) and host.id]
        with unscoped("loader: templates of paths"):
            current = _versions(held) if held else {}
            lacking = [p for p in places if not self._is_current(p, current)]
            if lacking:
                self._read(lacking)
        for place in places:
            self._hosts.move_to_end(place)

    def _is_current(self, place: Place, current: Mapping[UUID, int]) -> bool:
        host = self._hosts.get(place)
        return bool(host and host.id and current.get(host.id) == host.version)

    def _read(self, places: Sequence[Place]) -> None:
        accounts, hosts = {account for account, _ in places}, {host for _, host in places}
        rows = {
            (row.account_id, row.host): row
            for row in PathHost.objects.filter(account_id__in=accounts, host__in=hosts)
        }
        patterns = patterns_of([row.id for row in rows.values()])
        for place in places:
            row = rows.get(place)
            self._hosts[place] = _Host(row, patterns[row.id] if row else Patterns(()))

    def _learn(self, groups: Mapping[Place, Sequence[Paths]]) -> None:
        moment = now()
        if not groups:
            return
        with unscoped("loader: templates of paths"):
            for place, some in groups.items():
                row = kept_host(*place, moment)
                paths = [
                    pair
                    for group in some
                    if not group.missing
                    for pair in zip(group.paths, group.requests, strict=True)
                ]
                tree = learn_into(row, paths, moment)
                host = _Host(row, patterns_of([row.id])[row.id])
                host.tree = tree
                self._hosts[place] = host

    def _forget_some(self) -> None:
        while len(self._hosts) > MOST_IN_MEMORY:
            self._hosts.popitem(last=False)
        if len(self._names) > MOST_IN_MEMORY:
            self._names.clear()
        if sum(host.remembered for host in self._hosts.values()) > MOST_PATHS:
            for host in self._hosts.values():
                host.forget()


def _versions(host_ids: Iterable[UUID]) -> dict[UUID, int]:
    """Present versions; notes, once a day, that the hosts are still there."""
    rows = list(
        PathHost.objects.filter(id__in=list(host_ids)).values_list("id", "version", "seen_at")
    )
    moment = now()
    if stale := [host_id for host_id, _, seen_at in rows if seen_at < moment - SEEN]:
        PathHost.objects.filter(id__in=stale).update(seen_at=moment)
    return {host_id: version for host_id, version, _ in rows}


def host_of(host: str) -> str:
    """As it is kept; empty for what is no name of a host."""
    return host.lower() if host.isprintable() and len(host) <= LONGEST_HOST else ""
