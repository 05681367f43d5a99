"""Pulse's door for agents: check, write to the spool, sync, acknowledge."""
