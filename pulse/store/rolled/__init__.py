"""Rollups in the event store: what they are made of, how they are written and read."""
