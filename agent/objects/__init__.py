"""Payload objects on their way to the customer's own store, and nowhere else."""
