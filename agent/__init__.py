"""The node agent: capture, link, parse, spool, report. A program of its own, without Django."""
