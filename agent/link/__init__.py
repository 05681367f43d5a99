"""Requests joined with their responses, and both with who talked to whom."""
