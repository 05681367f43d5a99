"""Stores by type, and those that are open by what the configuration says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from agent.logs import get_logger
from agent.stores.base import EventStore, ObjectStore, StoreContext, StoreError
from agent.stores.directory import DirectoryStore
from agent.stores.queue import ObjectQueue
from agent.stores.s3.store import open_s3
from agent.stores.stdout import StdoutEvents, StdoutObjects
from wire.config import Config
from wire.config import EventStore as EventStoreConfig
from wire.config import ObjectStore as ObjectStoreConfig

OpenObjects = Callable[[ObjectStoreConfig, StoreContext], ObjectStore]
OpenEvents = Callable[[EventStoreConfig, StoreContext], EventStore]

_log = get_logger()


def _directory(config: ObjectStoreConfig, context: StoreContext) -> ObjectStore:
    del context
    return DirectoryStore(Path(config.path), id=config.name, access_url=config.access_url)


def _stdout_objects(config: ObjectStoreConfig, context: StoreContext) -> ObjectStore:
    return StdoutObjects(config.name, config.access_url, context.out)


def _stdout_events(config: EventStoreConfig, context: StoreContext) -> EventStore:
    return StdoutEvents(config.name, context.counters, context.out)


OBJECT_STORES: Final[dict[str, OpenObjects]] = {
    "directory": _directory,
    "s3": open_s3,
    "stdout": _stdout_objects,
}
EVENT_STORES: Final[dict[str, OpenEvents]] = {"stdout": _stdout_events}
"""``pulse`` is not here: an agent has one uplink, which lives longer than a configuration."""


class OpenStores:
    """The stores of one configuration. Shared with the one before where nothing changed."""

    def __init__(
        self,
        events: dict[EventStoreConfig, EventStore],
        objects: dict[ObjectStoreConfig, ObjectQueue],
    ) -> None:
        self.by_event_config = events
        self.by_object_config = objects
        self.events = list(events.values())
        self._queues = {config.name: queue for config, queue in objects.items()}
        self._default = next(iter(objects.values()), None)

    def queue(self, name: str = "") -> ObjectQueue | None:
        """By id; the default without one. ``None``: payloads are dropped."""
        return self._queues.get(name) if name else self._default

    def held(self) -> dict[str, int]:
        """Bytes that wait before each object store, by its id."""
        return {name: queue.held for name, queue in self._queues.items()}

    @property
    def kind(self) -> str:
        """Of the default object store; ``none``: payloads are dropped."""
        return self._default.store.kind if self._default is not None else "none"

    def only_here(self, others: Iterable[OpenStores]) -> list[EventStore | ObjectQueue]:
        """The stores that none of ``others`` has as well."""
        shared = {id(one) for other in others for one in other.all()}
        return [one for one in self.all() if id(one) not in shared]

    def all(self) -> list[EventStore | ObjectQueue]:
        return [*self.by_event_config.values(), *self.by_object_config.values()]


NO_STORES: Final = OpenStores({}, {})


def open_stores(
    config: Config, context: StoreContext, former: OpenStores = NO_STORES
) -> OpenStores:
    """Open what ``former`` has not open already.

    A store that is not ready is kept in use: it may be back in a minute, and every drop
    until then is counted. Raises ``StoreError`` where one cannot even be tried.
    """
    events: dict[EventStoreConfig, EventStore] = {}
    for event_config in config.services.event_stores:
        known = former.by_event_config.get(event_config)
        if event_config.type in EVENT_STORES:
            events[event_config] = known or _event_store(event_config, context)
    objects: dict[ObjectStoreConfig, ObjectQueue] = {}
    for object_config in config.services.object_stores:
        if object_config.type != "disabled":
            known_queue = former.by_object_config.get(object_config)
            objects[object_config] = known_queue or _object_store(object_config, context)
    return OpenStores(events, objects)


def _event_store(config: EventStoreConfig, context: StoreContext) -> EventStore:
    store = EVENT_STORES[config.type](config, context)
    store.start()
    return store


def _object_store(config: ObjectStoreConfig, context: StoreContext) -> ObjectQueue:
    if config.type not in OBJECT_STORES:
        raise StoreError("unsupported", f"this agent has no object stores of type {config.type}")
    store = OBJECT_STORES[config.type](config, context)
    try:
        store.check()
    except StoreError as error:
        _log.error("the object store is not ready", id=store.id, reason=str(error))
    queue = ObjectQueue(store, context.counters)
    queue.start()
    return queue
