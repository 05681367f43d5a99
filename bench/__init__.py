"""Benchmarks: each prints one JSON object a line. Corpora come from fixed seeds."""
