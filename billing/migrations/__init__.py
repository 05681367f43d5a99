"""Billing's tables."""
