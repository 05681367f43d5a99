"""From the spool into the event store, each batch exactly once."""
