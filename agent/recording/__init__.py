"""Captured traffic in a file: written once, fed again as often as one likes."""
