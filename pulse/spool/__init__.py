"""The disk spool between ingest and loader: what is in it and synced has been acknowledged.

``docs/wire/spool.md`` is not needed to read it: a segment is a file of frames, each frame
one batch. ``<n>.open`` is being written, ``<n>.seg`` is finished and belongs to the loader.
"""
