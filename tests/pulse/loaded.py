"""Frames in the store as the loader brings them there, notes included."""

from __future__ import annotations

from uuid import UUID

from pulse.loader.block import block_of, quarters_of
from pulse.rollups import touch
from pulse.spool.frames import Frame
from pulse.store.client import Store
from pulse.store.loads import insert_load
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import unscoped


def load_frames(store: Store, frames: list[Frame]) -> UUID:
    """One load; returns its id."""
    load_id = new_id()
    with unscoped("test"):
        touch(load_id, quarters_of(frames))
    insert_load(store, block_of(frames, load_id), str(load_id))
    return load_id
