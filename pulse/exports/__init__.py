"""Requests as files: asked for, written by a worker, downloaded until they expire."""
